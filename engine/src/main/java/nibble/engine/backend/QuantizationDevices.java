package nibble.engine.backend;

import java.nio.file.Path;
import java.util.List;
import java.util.function.IntFunction;
import nibble.checkpoint.model.ModelConfig;
import nibble.engine.quantize.InputStatistics;
import nibble.engine.quantize.LinearQuantizer;
import nibble.engine.quantize.PairedMoments;
import nibble.engine.tensor.DenseWeight;
import nibble.engine.tensor.Weight;
import nibble.pack.QuantizationSpec;

/**
 * Holds one device, or several of one kind that share the work of a quantization and produce bit-identical results.
 * Used by one thread at a time.
 */
public interface QuantizationDevices extends AutoCloseable {
    /** Returns the devices, the one that sums things up first. */
    List<Backend> members();

    /** Makes statistics of inputs with so many features, all zero; rows to add may lie on any member. */
    InputStatistics statistics(int columns);

    /** Does what {@link Backend#pairedMoments} does; rows to add may lie on any member. */
    PairedMoments pairedMoments(int columns, int residual);

    /** Does what {@link Backend#expertElements} does. */
    default long expertElements(ModelConfig config, Streams streams) {
        return members().getFirst().expertElements(config, streams);
    }

    /** Does what {@link Backend#quantizer} does, with the weight placed on each member. */
    LinearQuantizer quantizer(List<? extends Weight> placed, DenseWeight original, Path file, QuantizationSpec spec);

    /**
     * Runs something on all members side by side, that of the first on the calling thread, which then uses the first
     * one; results in their order.
     *
     * @param task takes a member's index, on a thread that uses this member
     */
    <T> List<T> onEach(IntFunction<T> task);

    /** Waits until all that was asked of any member is done. */
    void synchronize();

    @Override
    void close();

    /** Makes devices of one backend, which is closed with them. */
    static QuantizationDevices of(Backend backend) {
        return new QuantizationDevices() {
            @Override
            public List<Backend> members() {
                return List.of(backend);
            }

            @Override
            public InputStatistics statistics(int columns) {
                return backend.statistics(columns);
            }

            @Override
            public PairedMoments pairedMoments(int columns, int residual) {
                return backend.pairedMoments(columns, residual);
            }

            @Override
            public LinearQuantizer quantizer(
                    List<? extends Weight> placed, DenseWeight original, Path file, QuantizationSpec spec) {
                return backend.quantizer(placed.getFirst(), original, file, spec);
            }

            @Override
            public <T> List<T> onEach(IntFunction<T> task) {
                backend.makeCurrent();
                return List.of(task.apply(0));
            }

            @Override
            public void synchronize() {
                backend.synchronize();
            }

            @Override
            public void close() {
                backend.close();
            }
        };
    }
}
