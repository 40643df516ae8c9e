package nibble.engine;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.BitSet;
import java.util.zip.CRC32C;
import nibble.checkpoint.model.ModelConfig;
import nibble.checkpoint.model.TensorNames;
import nibble.checkpoint.tensor.DType;
import nibble.checkpoint.tensor.TensorSpec;
import nibble.engine.backend.Workers;

/**
 * Makes random fp16 weights of realistic scale, for measurements of what does not depend on their meaning: normal with
 * a deviation of 0.02, norms of about 1. As in real models, about one channel in a thousand of the residual stream is
 * far larger than the others: its embedding, and its rows of o_proj and down_proj, are 8 times as large.
 *
 * <p>Numbers are drawn by 16 random bits from the 65,536 quantiles of the distribution: at the speed of memory, and the
 * same on every machine. Each row has its own generator, so the number of threads makes no difference.
 */
public final class RandomWeights {
    private static final double DEVIATION = 0.02;
    private static final float OUTLIER = 8f;
    private static final int CHANNELS_PER_OUTLIER = 1024;

    /** Elements of a task: 128 kB. */
    private static final int TASK_ELEMENTS = 1 << 16;

    private static final ValueLayout.OfShort SHORT =
            ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
    private static final long GOLDEN_GAMMA = 0x9e3779b97f4a7c15L;

    private final long seed;
    private final int hidden;
    private final Workers workers;
    private final BitSet outliers;
    private final short[] ordinary = quantiles(1f);
    private final short[] large = quantiles(OUTLIER);

    /**
     * Makes the weights of one model.
     *
     * @param workers borrowed
     */
    public RandomWeights(ModelConfig config, long seed, Workers workers) {
        this.seed = seed;
        this.hidden = config.hiddenSize();
        this.workers = workers;
        this.outliers = new BitSet(hidden);
        int number = Math.max(1, hidden / CHANNELS_PER_OUTLIER);
        for (int i = 0; outliers.cardinality() < number; i++) {
            outliers.set((int) Long.remainderUnsigned(mix(seed + (i + 1) * GOLDEN_GAMMA), hidden));
        }
    }

    /** Quantiles of the normal distribution at (i + 1/2) / 65536, as fp16 bits. */
    private static short[] quantiles(float factor) {
        short[] values = new short[1 << 16];
        for (int i = 0; i < values.length; i++) {
            values[i] = Float.floatToFloat16((float) (DEVIATION * factor * normalQuantile((i + 0.5) / values.length)));
        }
        return values;
    }

    /** By bisection of the distribution function, in StrictMath: slow and the same everywhere. */
    private static double normalQuantile(double p) {
        double low = -6;
        double high = 6;
        for (int i = 0; i < 40; i++) {
            double middle = (low + high) / 2;
            if (normalDistribution(middle) < p) {
                low = middle;
            } else {
                high = middle;
            }
        }
        return (low + high) / 2;
    }

    /** Abramowitz and Stegun, Handbook of Mathematical Functions, 26.2.17; error below 7.5e-8. */
    private static double normalDistribution(double x) {
        double t = 1 / (1 + 0.2316419 * Math.abs(x));
        double polynomial =
                t * (0.319381530 + t * (-0.356563782 + t * (1.781477937 + t * (-1.821255978 + t * 1.330274429))));
        double tail = StrictMath.exp(-x * x / 2) / StrictMath.sqrt(2 * StrictMath.PI) * polynomial;
        return x < 0 ? tail : 1 - tail;
    }

    /**
     * Fills a tensor of the model.
     *
     * @param spec F16, a vector or a matrix
     * @param into as many bytes as the tensor takes, little-endian; of any thread
     */
    public void fill(TensorSpec spec, MemorySegment into) {
        if (spec.dtype() != DType.F16 || into.byteSize() != spec.bytes()) {
            throw new IllegalArgumentException("tensor " + spec.name() + ": " + spec.dtype() + " " + spec.shape()
                    + " and " + into.byteSize() + " bytes found, F16 and its size expected");
        }
        CRC32C name = new CRC32C();
        name.update(spec.name().getBytes(StandardCharsets.UTF_8));
        long tensorSeed = mix(seed ^ name.getValue() * GOLDEN_GAMMA);
        if (spec.shape().rank() == 1) {
            fillNorm(tensorSeed, into);
            return;
        }
        int columns = (int) spec.shape().dim(1);
        long rows = spec.shape().dim(0);
        boolean outputsResidual = spec.name().endsWith("o_proj.weight")
                || spec.name().endsWith("down_proj.weight")
                || spec.name().endsWith(".w2.weight");
        boolean embedding = spec.name().equals(TensorNames.EMBEDDING);
        long rowsPerTask = Math.max(1, TASK_ELEMENTS / columns);
        workers.forEach(Math.toIntExact((rows + rowsPerTask - 1) / rowsPerTask), task -> {
            for (long row = task * rowsPerTask; row < Math.min(rows, (task + 1) * rowsPerTask); row++) {
                MemorySegment values = into.asSlice(2 * row * columns, 2L * columns);
                long rowSeed = mix(tensorSeed + row);
                fillRow(outputsResidual && outliers.get((int) row) ? large : ordinary, rowSeed, values, columns);
                if (embedding) {
                    enlargeOutliers(rowSeed, values);
                }
            }
        });
    }

    private static void fillRow(short[] quantiles, long rowSeed, MemorySegment into, int columns) {
        long state = rowSeed;
        for (int i = 0; i < columns; i += 4) {
            state += GOLDEN_GAMMA;
            long bits = mix(state);
            for (int j = i; j < Math.min(i + 4, columns); j++) {
                into.set(SHORT, 2L * j, quantiles[(int) bits & 0xffff]);
                bits >>>= 16;
            }
        }
    }

    private void enlargeOutliers(long rowSeed, MemorySegment row) {
        for (int i = outliers.nextSetBit(0); i >= 0; i = outliers.nextSetBit(i + 1)) {
            row.set(SHORT, 2L * i, large[(int) mix(rowSeed ^ i) & 0xffff]);
        }
    }

    private void fillNorm(long tensorSeed, MemorySegment into) {
        for (int i = 0; i < into.byteSize() / 2; i++) {
            float deviation = Float.float16ToFloat(ordinary[(int) mix(tensorSeed + i) & 0xffff]);
            into.set(SHORT, 2L * i, Float.floatToFloat16(1 + 5 * deviation));
        }
    }

    /** Output function of SplitMix64 (Steele, Lea, Flood 2014, "Fast splittable pseudorandom number generators"). */
    private static long mix(long z) {
        long a = (z ^ (z >>> 30)) * 0xbf58476d1ce4e5b9L;
        long b = (a ^ (a >>> 27)) * 0x94d049bb133111ebL;
        return b ^ (b >>> 31);
    }
}
