package nibble.engine.cuda.quantize;

import java.util.List;
import java.util.function.Function;
import java.util.function.Supplier;
import nibble.engine.quantize.Basis;
import nibble.engine.quantize.Clip;
import nibble.engine.quantize.FitSteps;
import nibble.engine.quantize.Fitted;
import nibble.engine.quantize.InputStatistics;
import nibble.engine.quantize.LinearQuantizer;
import nibble.engine.quantize.PairedMoments;
import nibble.engine.tensor.DenseWeight;
import nibble.pack.QuantizedLinear;
import org.jspecify.annotations.Nullable;

/**
 * Quantizes a linear whose weights stay on the host: each operation brings them to where it computes, and gives the
 * memory back. Holds nothing between operations.
 */
public final class BroughtQuantizer implements LinearQuantizer {
    private final int outFeatures;
    private final int inFeatures;
    private final Supplier<Opened> open;

    private BroughtQuantizer(int outFeatures, int inFeatures, Supplier<Opened> open) {
        this.outFeatures = outFeatures;
        this.inFeatures = inFeatures;
        this.open = open;
    }

    /** Holds a quantizer of brought weights. Owns both. */
    public record Opened(LinearQuantizer quantizer, Runnable memory) implements AutoCloseable {
        @Override
        public void close() {
            try (quantizer) {
                // The weights are given back after what borrows them.
            } finally {
                memory.run();
            }
        }
    }

    /**
     * Makes a quantizer of a weight of the host.
     *
     * @param open brings the weight
     * @throws nibble.checkpoint.source.BadCheckpointException if a weight is not finite
     */
    public static BroughtQuantizer of(DenseWeight host, Supplier<Opened> open) {
        BroughtQuantizer made = new BroughtQuantizer(host.outFeatures(), host.inFeatures(), open);
        // What is wrong with the weights is found here, as where they lie on a card.
        open.get().close();
        return made;
    }

    /**
     * Opens a quantizer of weights that were brought; gives them back if that fails.
     *
     * @param memory gives them back
     */
    public static Opened opened(Supplier<LinearQuantizer> quantizer, Runnable memory) {
        try {
            return new Opened(quantizer.get(), memory);
        } catch (RuntimeException | Error e) {
            memory.run();
            throw e;
        }
    }

    private <T> T with(Function<LinearQuantizer, T> operation) {
        try (Opened opened = open.get()) {
            return operation.apply(opened.quantizer());
        }
    }

    @Override
    public int outFeatures() {
        return outFeatures;
    }

    @Override
    public int inFeatures() {
        return inFeatures;
    }

    @Override
    public double[] relativeMagnitudes() {
        return with(LinearQuantizer::relativeMagnitudes);
    }

    @Override
    public double[] errors(Basis basis, float @Nullable [] limits, InputStatistics input) {
        return with(quantizer -> quantizer.errors(basis, limits, input));
    }

    @Override
    public double[] losses(List<float @Nullable []> columns, InputStatistics input, Runnable onEach) {
        return with(quantizer -> quantizer.losses(columns, input, onEach));
    }

    @Override
    public double outputSize(InputStatistics input) {
        return with(quantizer -> quantizer.outputSize(input));
    }

    @Override
    public double weightError(Basis basis, float @Nullable [] limits) {
        return with(quantizer -> quantizer.weightError(basis, limits));
    }

    @Override
    public Clip clip(Basis basis, InputStatistics input) {
        return with(quantizer -> quantizer.clip(basis, input));
    }

    @Override
    public QuantizedLinear quantize(Basis basis, float @Nullable [] limits) {
        return with(quantizer -> quantizer.quantize(basis, limits));
    }

    @Override
    public Fitted fit(Basis basis, PairedMoments moments, FitSteps steps) {
        return with(quantizer -> quantizer.fit(basis, moments, steps));
    }

    @Override
    public void close() {
        // Nothing is held.
    }
}
