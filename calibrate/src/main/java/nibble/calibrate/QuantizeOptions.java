package nibble.calibrate;

import nibble.pack.QuantizationSpec;

/**
 * What to make.
 *
 * @param maxShardBytes most bytes of an output shard
 * @param threads threads for searching and rounding; results do not depend on it
 */
public record QuantizeOptions(Method method, QuantizationSpec spec, long maxShardBytes, int threads) {
    public QuantizeOptions {
        if (threads < 1) {
            throw new IllegalArgumentException(threads + " threads asked, at least 1 needed");
        }
    }

    /** With a thread for each processor. */
    public QuantizeOptions(Method method, QuantizationSpec spec, long maxShardBytes) {
        this(method, spec, maxShardBytes, Runtime.getRuntime().availableProcessors());
    }
}
