package nibble.engine.cuda.gradient;

import java.util.Locale;
import nibble.checkpoint.model.Linear;
import nibble.checkpoint.model.ModelConfig;
import nibble.engine.attention.AttentionShape;
import nibble.engine.backend.DeviceException;
import nibble.engine.backend.GradientOperations;
import nibble.engine.cuda.driver.DeviceMemory;
import nibble.pack.QuantizationSpec;

/** Predicts what a tuning takes of a card, from the config alone, and says what of it stays there. */
public final class TuningMemory {
    /** Workspace of cuBLAS, pieces that were expanded for the fit, the states of a step, small vectors. */
    private static final long SMALL_THINGS = 1L << 30;
    /** Matrices on a layer's tape, each of whose bytes are rounded up. */
    private static final int TAPE_MATRICES = 13;
    /** The share of what is left that keeps forward passes for backward passes. */
    private static final int TAPE_SHARE = 8;

    private final ModelConfig config;
    private final QuantizationSpec spec;
    private final int sequences;
    private final int length;
    private final int rows;
    private final long tape;

    /**
     * Counts the memory of a tuning.
     *
     * @param tapeColumns floats a token that a layer's forward pass leaves for its backward pass
     */
    public TuningMemory(ModelConfig config, QuantizationSpec spec, int sequences, int length, long tapeColumns) {
        this.config = config;
        this.spec = spec;
        this.sequences = sequences;
        this.length = length;
        this.rows = sequences * length;
        this.tape = Float.BYTES * tapeColumns * rows + TAPE_MATRICES * DeviceMemory.rounded(1L << 20);
    }

    /**
     * Says what there is room for.
     *
     * @param limit bytes that may be taken of the card
     * @param movesCodes whether codes are tuned
     * @throws DeviceException if they are too few: even when all codes come from the host, or for all positions
     */
    public GradientOperations.Room room(long limit, boolean movesCodes) {
        long layerCodes = DeviceMemory.rounded(layerCodes());
        int layers = config.layers();
        long fixed = fixed() + (movesCodes ? positions() : 0);
        long least = fixed - SMALL_THINGS + (movesCodes ? layers : Math.min(2, layers)) * layerCodes;
        if (least > limit) {
            throw new DeviceException(String.format(
                    Locale.ROOT,
                    "the steps of tuning take at least %.1f GB of the card, %.1f GB are left;"
                            + " allow more with --max-device-memory, or %s",
                    least / 1e9,
                    limit / 1e9,
                    movesCodes ? "let codes stay with --fixed-codes" : "leave them out with --steps 0"));
        }
        int resident = layers;
        long streamed = 0;
        if (!movesCodes && fixed + layers * layerCodes > limit) {
            streamed = 2 * layerCodes;
            resident = (int) Math.clamp((limit - fixed - streamed) / layerCodes, 0, layers);
        }
        long taken = fixed + streamed + resident * layerCodes;
        long more = tape - matrix(config.hiddenSize());
        int tapes = (int) Math.clamp(1 + Math.max(0, limit - taken) / TAPE_SHARE / more, 1, layers);
        return new GradientOperations.Room(
                resident, tapes, movesCodes, taken + (tapes - 1) * more, (layers - resident) * layerCodes());
    }

    /** Returns whether all codes and their positions fit, with nothing to spare for more. */
    public boolean fitsCodes(long limit) {
        return fixed() + positions() + config.layers() * DeviceMemory.rounded(layerCodes()) <= limit;
    }

    /** Counts the positions of all codes with Adam's means, and the gradients of one layer's. */
    private long positions() {
        long bytes = 0;
        for (Linear linear : Linear.SEVEN) {
            long size = (long) config.outFeatures(linear) * config.inFeatures(linear);
            bytes += config.layers() * CudaPositions.bytes(size) + DeviceMemory.rounded(Float.BYTES * size);
        }
        return bytes;
    }

    /** Counts all but codes and the tapes after the first. */
    private long fixed() {
        AttentionShape heads = AttentionShape.of(config);
        int hidden = config.hiddenSize();
        long gradients = 3 * matrix(hidden)
                + 2 * matrix(heads.queryColumns())
                + (config.architecture().turnsNeighbours() ? 3 : 2) * matrix(heads.keyColumns())
                + 2 * matrix(config.intermediateSize());
        long inputs = (config.layers() + 3L) * matrix(hidden);
        long head = DeviceMemory.rounded((long) Short.BYTES * config.vocabularySize() * hidden);
        return parameters()
                + gradients
                + inputs
                + tape
                + expanded()
                + CudaGradients.pieceBytes(config)
                + SingleAttention.bytes(heads, length)
                + head
                + RowDivergence.bytes(rows, config.vocabularySize(), hidden)
                + SMALL_THINGS;
    }

    private long matrix(int columns) {
        return DeviceMemory.rounded((long) Float.BYTES * rows * columns);
    }

    private long layerCodes() {
        long bytes = 0;
        for (Linear linear : Linear.SEVEN) {
            int in = config.inFeatures(linear);
            bytes += CudaCodes.bytes(config.outFeatures(linear), in, spec.groups(in), spec.codesPerByte());
        }
        return bytes;
    }

    /** Counts the numbers that are tuned, and the gradients of one layer's. */
    private long parameters() {
        long bytes = 4 * CudaParameter.bytes(config.hiddenSize());
        long gradients = 0;
        for (Linear linear : Linear.SEVEN) {
            long scales = (long) config.outFeatures(linear) * spec.groups(config.inFeatures(linear));
            bytes += CudaParameter.bytes(scales);
            gradients += DeviceMemory.rounded(Float.BYTES * scales);
        }
        return config.layers() * bytes + gradients;
    }

    /** Counts a layer's weights in fp32. */
    private long expanded() {
        long bytes = 0;
        for (Linear linear : Linear.SEVEN) {
            bytes += DeviceMemory.rounded((long) Float.BYTES * config.outFeatures(linear) * config.inFeatures(linear));
        }
        return bytes;
    }
}
