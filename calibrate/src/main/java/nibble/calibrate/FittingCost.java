package nibble.calibrate;

import java.util.List;
import java.util.function.IntToDoubleFunction;
import nibble.calibrate.search.ScaleSearch;
import nibble.calibrate.search.Work;
import nibble.checkpoint.model.Expert;
import nibble.checkpoint.model.Experts;
import nibble.checkpoint.model.LinearInput;
import nibble.checkpoint.model.ModelConfig;
import nibble.checkpoint.model.StoredLinear;
import nibble.engine.backend.Streams;
import nibble.engine.cuda.CudaCalibration;
import nibble.engine.quantize.ExpertTurns;
import nibble.engine.quantize.FitSteps;
import nibble.pack.QuantizationSpec;

/** What method best takes for one layer: two streams, and each linear fitted. */
final class FittingCost {
    /** fp16 products that an H100 makes in the time of one in fp32 on its ordinary units (docs/benchmarks.md). */
    private static final double SINGLE = 18;

    /** The same for products of fp32 numbers on tensor cores. */
    private static final double TENSOR = 2;

    /** The same for the small products of the range search, which wait for memory. */
    private static final double SMALL = 25;

    /** The same for a candidate of the scale search, whose errors are made and read. */
    private static final double TRIAL = 1.5;

    private final ModelConfig config;
    private final QuantizationSpec spec;
    private final long tokens;

    FittingCost(ModelConfig config, QuantizationSpec spec, long tokens) {
        this.config = config;
        this.spec = spec;
        this.tokens = tokens;
    }

    /**
     * Both streams' way through a layer: the original's goes once, the quantized model's once for moments up to o's and
     * down's inputs, and once in whole.
     *
     * @param attention floating-point operations of a stream's attention
     */
    double forwardFlops(double attention) {
        double flops = 3 * attention;
        for (StoredLinear stored : Work.linears(config)) {
            LinearInput input = stored.linear().input();
            boolean twice = input == LinearInput.QKV || input == LinearInput.GATE_UP;
            flops += (twice ? 6.0 : 4.0)
                    * tokens
                    * Work.share(config, stored)
                    * stored.outFeatures()
                    * stored.inFeatures();
        }
        return flops;
    }

    /** @param symmetric the share of C of so many columns that is made */
    double momentFlops(IntToDoubleFunction symmetric) {
        double flops = 0;
        for (StoredLinear reader : Work.readers(config)) {
            double in = reader.inFeatures();
            // What outputs lack is a product with the weights, and a sum as large.
            double lack = addsToStream(reader) ? 2.0 * config.hiddenSize() : in;
            double passed = tokens * Work.share(config, reader);
            flops += 2.0 * passed * in * (symmetric.applyAsDouble(reader.inFeatures()) * in + lack);
        }
        return flops;
    }

    /** Most elements that moments of an input take, and C twice more with its factor in fp64. */
    long momentElements() {
        long most = 0;
        for (StoredLinear reader : Work.readers(config)) {
            long in = reader.inFeatures();
            long rows = addsToStream(reader) ? config.hiddenSize() : in;
            if (!reader.module().expert().isPart()) {
                most = Math.max(most, in * (in + 2 * rows) + 6 * in * in);
            }
        }
        // Those of a turn's experts are there together, and one at a time is factorized.
        List<Expert> experts =
                config.experts(config.layers() - 1).map(Experts::all).orElse(List.of());
        for (LinearInput input : List.of(LinearInput.GATE_UP, LinearInput.DOWN)) {
            for (List<Expert> turn :
                    ExpertTurns.of(config, experts, input, Streams.PAIR.moments(), ExpertTurns.ELEMENTS)) {
                long moments = 0;
                long widest = 0;
                for (Expert expert : turn) {
                    long in = config.width(input, expert);
                    moments += 3 * in * in;
                    widest = Math.max(widest, in);
                }
                most = Math.max(most, moments + 6 * widest * widest);
            }
        }
        return most;
    }

    /** Whether moments are of what outputs lack, which the experts of a token share. */
    private static boolean addsToStream(StoredLinear reader) {
        LinearInput input = reader.linear().input();
        return input == LinearInput.O
                || input == LinearInput.DOWN && !reader.module().expert().isPart();
    }

    /** Search and fit on the host. */
    double searchFlops() {
        double flops = 0;
        for (StoredLinear linear : Work.linears(config)) {
            double in = linear.inFeatures();
            double out = linear.outFeatures();
            flops += 2 * ScaleSearch.candidates() * out * in * in + Work.fit(out, in, spec, FitSteps.ALL);
        }
        return flops;
    }

    /** The same on a card, as fp16 products that take as long. */
    double cardSearchFlops() {
        FitSteps steps = FitSteps.ALL;
        double flops = 0;
        for (StoredLinear linear : Work.linears(config)) {
            double in = linear.inFeatures();
            double out = linear.outFeatures();
            double product = 2 * out * in * in;
            flops += TRIAL * (ScaleSearch.candidates() + 2) * product * CudaCalibration.productShare((int) in);
            // Two solutions for either half, by a triangle each; products with N where it is of inputs; the rounding.
            flops += SINGLE * product * (2 + (addsToStream(linear) ? 0 : 2) + 0.5);
            // A gradient before each sweep and each refit, and at the end; a triangle in each of them.
            int walks = steps.sweeps() + 2 * steps.refits();
            flops += TENSOR * product * (walks + 1 + walks / 2.0);
            flops += 2.0 * SMALL * steps.ranges() * steps.ranges() * out * in * spec.columnsPerGroup((int) in);
        }
        for (StoredLinear reader : Work.readers(config)) {
            flops += SINGLE * Math.pow(reader.inFeatures(), 3) / 3;
        }
        return flops;
    }
}
