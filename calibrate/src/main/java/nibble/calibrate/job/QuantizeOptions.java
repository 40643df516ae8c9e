package nibble.calibrate.job;

import java.io.Serializable;
import nibble.checkpoint.model.quantization.QuantizedFormat;
import nibble.pack.QuantizationSpec;

/**
 * Describes the output to make.
 *
 * @param format the layout of the output; the numbers are the same in all
 * @param maxShardBytes most bytes of an output shard
 * @param threads threads for searching and rounding; results do not depend on it
 * @param strict whether what would be a warning ends the run
 * @param best how method best works
 */
public record QuantizeOptions(
        Method method,
        QuantizationSpec spec,
        QuantizedFormat format,
        long maxShardBytes,
        int threads,
        boolean strict,
        BestSettings best)
        implements Serializable {
    public QuantizeOptions {
        if (best.steps() > 0 && method != Method.BEST) {
            throw new IllegalArgumentException(best.steps() + " steps of tuning asked of method " + method.label());
        }
        if (threads < 1) {
            throw new IllegalArgumentException(threads + " threads asked, at least 1 needed");
        }
    }

    /** Asks for AutoAWQ's layout, without tuning. */
    public QuantizeOptions(Method method, QuantizationSpec spec, long maxShardBytes, int threads) {
        this(method, spec, QuantizedFormat.AWQ_GEMM, maxShardBytes, threads, false, BestSettings.NO_STEPS);
    }

    /** Asks for AutoAWQ's layout, without tuning, with a thread for each processor. */
    public QuantizeOptions(Method method, QuantizationSpec spec, long maxShardBytes) {
        this(method, spec, maxShardBytes, Runtime.getRuntime().availableProcessors());
    }

    /** Returns the steps of tuning after all layers are made. */
    public int steps() {
        return best.steps();
    }

    /** Returns whether these steps move codes too. */
    public boolean movesCodes() {
        return best.movesCodes();
    }

    /** Returns the same with so many threads. */
    public QuantizeOptions withThreads(int other) {
        return new QuantizeOptions(method, spec, format, maxShardBytes, other, strict, best);
    }

    /** Returns the same without tuning. */
    public QuantizeOptions withoutSteps() {
        return new QuantizeOptions(method, spec, format, maxShardBytes, threads, strict, best.withSteps(0));
    }
}
