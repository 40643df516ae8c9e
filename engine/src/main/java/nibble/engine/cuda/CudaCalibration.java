package nibble.engine.cuda;

import java.util.Arrays;
import nibble.checkpoint.model.Linear;
import nibble.checkpoint.model.LinearInput;
import nibble.checkpoint.model.ModelConfig;
import nibble.engine.backend.CalibrationMemory;
import nibble.engine.backend.LayerScratch;
import nibble.engine.cuda.driver.DeviceMemory;
import nibble.engine.cuda.quantize.CudaInputStatistics;
import nibble.engine.cuda.quantize.QuantizationScratch;

/** What a quantization takes of a card and asks of it, from the config alone. */
public final class CudaCalibration {
    /** Workspace of cuBLAS, vectors, losses and codes of one linear, the driver's context. */
    private static final long SMALL_THINGS = 1L << 30;

    private CudaCalibration() {}

    /**
     * What there must be room for beside the calibration stream while a layer is quantized: two layers, the second
     * moments, a batch inside a layer, errors on trial.
     *
     * @param batchTokens tokens that go through a layer at a time
     */
    static long beside(ModelConfig config, int batchTokens) {
        long moments = 0;
        for (LinearInput input : LinearInput.values()) {
            moments += CudaInputStatistics.bytes(config.width(input));
        }
        long largest = Arrays.stream(Linear.values())
                .mapToInt(config::outFeatures)
                .max()
                .orElse(0);
        long widest = Arrays.stream(Linear.values())
                .mapToInt(config::inFeatures)
                .max()
                .orElse(0);
        return 2 * layer(config)
                + moments
                + 2 * LayerScratch.columns(config) * batchTokens
                + QuantizationScratch.bytes((int) largest, (int) widest)
                + SMALL_THINGS;
    }

    /**
     * Predicts the most memory that a quantization takes.
     *
     * @param sequences blocks of the calibration text
     * @param sequenceLength tokens of a block
     * @param limit what may be taken of the card
     */
    public static CalibrationMemory peak(ModelConfig config, int sequences, int sequenceLength, long limit) {
        long tokens = (long) sequences * sequenceLength;
        int batchTokens =
                (int) Math.min(tokens, (long) Math.max(1, CudaBackend.BATCH_TOKENS / sequenceLength) * sequenceLength);
        long beside = beside(config, batchTokens);
        long stream = 2 * tokens * config.hiddenSize();
        if (beside + stream <= limit) {
            return new CalibrationMemory(beside + stream, 0);
        }
        return new CalibrationMemory(beside + 2 * DeviceMemory.rounded(2L * batchTokens * config.hiddenSize()), stream);
    }

    /**
     * The share of the products with {@code C} [columns, columns], or for it, that is made: strips from the diagonal
     * on.
     */
    public static double productShare(int columns) {
        double made = 0;
        for (int first = 0; first < columns; first += CudaInputStatistics.STRIP) {
            made += (double) Math.min(CudaInputStatistics.STRIP, columns - first) * (columns - first);
        }
        return made / columns / columns;
    }

    private static long layer(ModelConfig config) {
        long bytes = 0;
        for (Linear linear : Linear.values()) {
            bytes += 2L * config.outFeatures(linear) * config.inFeatures(linear);
        }
        return bytes;
    }
}
