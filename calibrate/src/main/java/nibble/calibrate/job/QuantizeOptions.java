package nibble.calibrate.job;

import nibble.checkpoint.model.QuantizedFormat;
import nibble.pack.QuantizationSpec;

/**
 * What to make.
 *
 * @param format the layout of the output; the numbers are the same in all
 * @param maxShardBytes most bytes of an output shard
 * @param threads threads for searching and rounding; results do not depend on it
 * @param strict whether what would be a warning ends the run
 */
public record QuantizeOptions(
        Method method, QuantizationSpec spec, QuantizedFormat format, long maxShardBytes, int threads, boolean strict) {
    public QuantizeOptions {
        if (threads < 1) {
            throw new IllegalArgumentException(threads + " threads asked, at least 1 needed");
        }
    }

    /** In AutoAWQ's layout. */
    public QuantizeOptions(Method method, QuantizationSpec spec, long maxShardBytes, int threads) {
        this(method, spec, QuantizedFormat.AWQ_GEMM, maxShardBytes, threads, false);
    }

    /** In AutoAWQ's layout, with a thread for each processor. */
    public QuantizeOptions(Method method, QuantizationSpec spec, long maxShardBytes) {
        this(method, spec, maxShardBytes, Runtime.getRuntime().availableProcessors());
    }
}
