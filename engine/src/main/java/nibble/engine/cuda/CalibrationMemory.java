package nibble.engine.cuda;

import java.util.Arrays;
import nibble.convert.LlamaConfig;
import nibble.convert.LlamaLinear;
import nibble.engine.LinearInput;

/** Device memory of a quantization, from the config alone. */
public final class CalibrationMemory {
    /** Workspace of cuBLAS, vectors, losses and codes of one linear, the driver's context. */
    private static final long SMALL_THINGS = 1L << 30;

    private CalibrationMemory() {}

    /**
     * What there must be room for beside the calibration stream while a layer is quantized: two layers, the second moments, a batch
     * inside a layer, errors on trial.
     *
     * @param batchTokens tokens that go through a layer at a time
     */
    static long beside(LlamaConfig config, int batchTokens) {
        long moments = 0;
        for (LinearInput input : LinearInput.values()) {
            moments += CudaInputStatistics.bytes(columns(config, input));
        }
        long largest = Arrays.stream(LlamaLinear.values()).mapToInt(config::outFeatures).max().orElse(0);
        long widest = Arrays.stream(LlamaLinear.values()).mapToInt(config::inFeatures).max().orElse(0);
        return 2 * layer(config)
                + moments
                + batch(config, batchTokens)
                + QuantizationScratch.bytes((int) largest, (int) widest)
                + SMALL_THINGS;
    }

    /**
     * The most device memory that a quantization takes.
     *
     * @param tokens of the calibration text
     * @param batchTokens tokens that go through a layer at a time
     * @param limit what may be taken
     */
    public static long peak(LlamaConfig config, long tokens, int batchTokens, long limit) {
        long beside = beside(config, batchTokens);
        long stream = 2 * tokens * config.hiddenSize();
        long staged = 2 * DeviceMemory.rounded(2L * batchTokens * config.hiddenSize());
        return beside + (beside + stream <= limit ? stream : staged);
    }

    private static long layer(LlamaConfig config) {
        long bytes = 0;
        for (LlamaLinear linear : LlamaLinear.values()) {
            bytes += 2L * config.outFeatures(linear) * config.inFeatures(linear);
        }
        return bytes;
    }

    /** Of {@link nibble.engine.Forward}. */
    private static long batch(LlamaConfig config, int tokens) {
        long columns = config.hiddenSize()
                + 2L * config.heads() * config.headDim()
                + 2L * config.kvHeads() * config.headDim()
                + 2L * config.intermediateSize();
        return 2 * columns * tokens;
    }

    private static int columns(LlamaConfig config, LinearInput input) {
        return switch (input) {
            case QKV -> config.inFeatures(LlamaLinear.Q);
            case O -> config.inFeatures(LlamaLinear.O);
            case GATE_UP -> config.inFeatures(LlamaLinear.GATE);
            case DOWN -> config.inFeatures(LlamaLinear.DOWN);
        };
    }
}
