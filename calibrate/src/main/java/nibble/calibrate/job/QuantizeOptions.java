package nibble.calibrate.job;

import nibble.checkpoint.model.QuantizedFormat;
import nibble.pack.QuantizationSpec;

/**
 * Describes the output to make.
 *
 * @param format the layout of the output; the numbers are the same in all
 * @param maxShardBytes most bytes of an output shard
 * @param threads threads for searching and rounding; results do not depend on it
 * @param strict whether what would be a warning ends the run
 * @param steps of tuning scales and norms after all layers are made; 0 leaves it out
 * @param movesCodes whether these steps move codes too, which takes 12 bytes a weight
 */
public record QuantizeOptions(
        Method method,
        QuantizationSpec spec,
        QuantizedFormat format,
        long maxShardBytes,
        int threads,
        boolean strict,
        int steps,
        boolean movesCodes) {
    public QuantizeOptions {
        if (steps < 0 || steps > 0 && method != Method.BEST) {
            throw new IllegalArgumentException(steps + " steps of tuning asked of method " + method.label());
        }
        if (movesCodes && steps == 0) {
            throw new IllegalArgumentException("codes are to be tuned in no steps");
        }
        if (threads < 1) {
            throw new IllegalArgumentException(threads + " threads asked, at least 1 needed");
        }
    }

    /** Asks for AutoAWQ's layout, without tuning. */
    public QuantizeOptions(Method method, QuantizationSpec spec, long maxShardBytes, int threads) {
        this(method, spec, QuantizedFormat.AWQ_GEMM, maxShardBytes, threads, false, 0, false);
    }

    /** Asks for AutoAWQ's layout, without tuning, with a thread for each processor. */
    public QuantizeOptions(Method method, QuantizationSpec spec, long maxShardBytes) {
        this(method, spec, maxShardBytes, Runtime.getRuntime().availableProcessors());
    }

    /** Returns the same without tuning. */
    public QuantizeOptions withoutSteps() {
        return new QuantizeOptions(method, spec, format, maxShardBytes, threads, strict, 0, false);
    }
}
