package nibble.calibrate;

import java.util.function.IntToDoubleFunction;
import nibble.calibrate.search.ScaleSearch;
import nibble.calibrate.search.Work;
import nibble.checkpoint.model.Linear;
import nibble.checkpoint.model.LinearInput;
import nibble.checkpoint.model.ModelConfig;
import nibble.engine.cuda.CudaCalibration;
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
        for (Linear linear : Linear.values()) {
            boolean twice = linear.input() == LinearInput.QKV || linear.input() == LinearInput.GATE_UP;
            flops += (twice ? 6.0 : 4.0) * tokens * config.outFeatures(linear) * config.inFeatures(linear);
        }
        return flops;
    }

    /** @param symmetric the share of C of so many columns that is made */
    double momentFlops(IntToDoubleFunction symmetric) {
        double flops = 0;
        for (LinearInput input : LinearInput.values()) {
            double in = config.width(input);
            // What outputs lack is a product with the weights, and a sum as large.
            double lack = addsToStream(input) ? 2.0 * config.hiddenSize() : in;
            flops += 2.0 * tokens * in * (symmetric.applyAsDouble(config.width(input)) * in + lack);
        }
        return flops;
    }

    /** Most elements that moments of an input take, and C twice more with its factor in fp64. */
    long momentElements() {
        long most = 0;
        for (LinearInput input : LinearInput.values()) {
            long in = config.width(input);
            long rows = addsToStream(input) ? config.hiddenSize() : in;
            most = Math.max(most, in * (in + 2 * rows) + 6 * in * in);
        }
        return most;
    }

    private static boolean addsToStream(LinearInput input) {
        return input == LinearInput.O || input == LinearInput.DOWN;
    }

    /** Search and fit on the host. */
    double searchFlops() {
        double flops = 0;
        for (Linear linear : Linear.values()) {
            double in = config.inFeatures(linear);
            double out = config.outFeatures(linear);
            flops += 2 * ScaleSearch.candidates() * out * in * in + Work.fit(out, in, spec, FitSteps.ALL);
        }
        return flops;
    }

    /** The same on a card, as fp16 products that take as long. */
    double cardSearchFlops() {
        FitSteps steps = FitSteps.ALL;
        double flops = 0;
        for (Linear linear : Linear.values()) {
            double in = config.inFeatures(linear);
            double out = config.outFeatures(linear);
            double product = 2 * out * in * in;
            flops += TRIAL * (ScaleSearch.candidates() + 2) * product * CudaCalibration.productShare((int) in);
            // Two solutions for either half, by a triangle each; products with N where it is of inputs; the rounding.
            flops += SINGLE * product * (2 + (addsToStream(linear.input()) ? 0 : 2) + 0.5);
            // A gradient before each sweep and each refit, and at the end; a triangle in each of them.
            int walks = steps.sweeps() + 2 * steps.refits();
            flops += TENSOR * product * (walks + 1 + walks / 2.0);
            flops += 2.0 * SMALL * steps.ranges() * steps.ranges() * out * in * spec.columnsPerGroup((int) in);
        }
        for (LinearInput input : LinearInput.values()) {
            flops += SINGLE * Math.pow(config.width(input), 3) / 3;
        }
        return flops;
    }
}
