package nibble.calibrate.tune;

import java.util.Arrays;
import nibble.calibrate.job.QuantizeOptions;
import nibble.calibrate.stream.HeldBack;
import nibble.checkpoint.model.Linear;
import nibble.checkpoint.model.ModelConfig;
import nibble.datasets.TokenBlocks;
import nibble.engine.backend.GradientOperations;
import nibble.engine.gradient.DivergencePass;
import nibble.pack.QuantizationSpec;

/** Counts what a tuning takes, from the config alone. */
public final class TuningCost {
    /** A scale in fp16 with its zero; its start, change, value and gradient; Adam's two moments. */
    private static final long FLOATS_PER_SCALE = 7;
    /** A code's position and Adam's two moments. */
    private static final long FLOATS_PER_POSITION = 3;
    /** Logits of a model that are on the heap at a time. */
    private static final long LOGITS = 1 << 24;

    private final ModelConfig config;
    private final QuantizeOptions options;
    private final long tokens;
    private final int length;

    /**
     * Counts a tuning.
     *
     * @param tokens of the calibration text
     * @param blockLength tokens of a block of it
     */
    public TuningCost(ModelConfig config, QuantizeOptions options, long tokens, int blockLength) {
        this.config = config;
        this.options = options;
        this.tokens = tokens;
        this.length = Math.min(blockLength, TuningText.MOST_TOKENS);
    }

    /** Counts for a calibration text. */
    public static TuningCost of(ModelConfig config, QuantizeOptions options, TokenBlocks blocks) {
        int shortest = Arrays.stream(blocks.blocks())
                .mapToInt(block -> block.length)
                .min()
                .orElse(1);
        return new TuningCost(config, options, blocks.tokens(), shortest);
    }

    /** Returns how many sequences a step takes. */
    public int sequences() {
        return sequences(options.best().tokensPerStep(), length);
    }

    static int sequences(int tokensPerStep, int length) {
        return Math.max(1, tokensPerStep / length);
    }

    /** Returns how many tokens a sequence has. */
    public int length() {
        return length;
    }

    /** Returns how many tokens are held back from the steps. */
    public long heldBack() {
        return tokens / HeldBack.EVERY;
    }

    /** Returns how many tokens the original model goes through: those of the steps and those that are held back. */
    public long usedTokens() {
        return Math.min(tokens, (long) options.steps() * sequences() * length + heldBack());
    }

    /** Returns the floating-point operations of all steps and of what comes before and after them. */
    public double work() {
        return options.steps() == 0 ? 0 : stepsWork() + passWork();
    }

    /** Returns those of the steps alone. */
    public double stepsWork() {
        return stepWork(config, sequences() * length) * options.steps();
    }

    /** Returns those of the original model, and of judging the model as fitted and as tuned. */
    private double passWork() {
        return layerWork(config) * config.layers() * (usedTokens() + 2 * heldBack());
    }

    /** Counts a forward pass, a backward pass, which is two, and another forward pass of layers that are not kept. */
    static double stepWork(ModelConfig config, int tokens) {
        double head = 6.0 * config.vocabularySize() * config.hiddenSize();
        return tokens * (4 * layerWork(config) * config.layers() + head);
    }

    static double layerWork(ModelConfig config) {
        return 2.0 * weights(config);
    }

    private static long weights(ModelConfig config) {
        long weights = 0;
        for (Linear linear : Linear.SEVEN) {
            weights += (long) config.outFeatures(linear) * config.inFeatures(linear);
        }
        return weights;
    }

    private long scales() {
        QuantizationSpec spec = options.spec();
        long scales = 0;
        for (Linear linear : Linear.SEVEN) {
            scales += (long) config.outFeatures(linear) * spec.groups(config.inFeatures(linear));
        }
        return scales;
    }

    /**
     * Returns what is on the heap while the host takes steps: the original's states, codes, scales with their gradients
     * and moments, one layer's weights and activations in fp32, and a piece of both models' logits. It leaves out what
     * a larger heap keeps of more layers' activations.
     */
    public long heapBytes() {
        long largest = 0;
        for (Linear linear : Linear.SEVEN) {
            largest = Math.max(largest, (long) config.outFeatures(linear) * config.inFeatures(linear));
        }
        long rows = (long) sequences() * length;
        long codes = weights(config) / options.spec().codesPerByte() * config.layers();
        long positions = options.movesCodes() ? (FLOATS_PER_POSITION * config.layers() + 1) * weights(config) : 0;
        long activations =
                rows * (2 * DivergencePass.tapeColumns(config) + (long) config.layers() * config.hiddenSize());
        long floats = usedTokens() * config.hiddenSize()
                + FLOATS_PER_SCALE * scales() * config.layers()
                + positions
                + 2 * weights(config)
                + largest
                + activations
                + 2 * LOGITS;
        return codes + Float.BYTES * floats;
    }

    /**
     * Returns what is on the heap while a card takes steps: codes of a layer on their way, a state to be saved, and
     * what was tuned, in fp16 and as it goes into the files.
     */
    public long cardHeapBytes() {
        long moved = options.movesCodes() ? weights(config) / options.spec().codesPerByte() * config.layers() : 0;
        return moved + 2 * weights(config) + Short.BYTES * 2 * scales() * config.layers() + Float.BYTES * 4 * scales();
    }

    /** Returns the bytes of the file that an unfinished tuning is saved in: what moves, and Adam's two moments. */
    public static long stateBytes(ModelConfig config, QuantizeOptions options) {
        if (options.steps() == 0) {
            return 0;
        }
        TuningCost cost = new TuningCost(config, options, 1, 1);
        int heads = config.queryNormWidth() + config.keyNormWidth();
        long layer = cost.scales()
                + (long) config.architecture().norms().size() * config.hiddenSize()
                + heads
                + (options.movesCodes() ? weights(config) : 0);
        return FLOATS_PER_POSITION * Float.BYTES * (layer * config.layers() + config.hiddenSize());
    }

    /**
     * Says what of the tuning a device has room for now.
     *
     * @param devices that share the steps, of which this is one
     */
    public GradientOperations.Room room(GradientOperations operations, int devices) {
        return shape(operations).room(operations, config, options.spec(), devices, options.movesCodes());
    }

    /** Returns what a step consists of where devices of a kind compute it. */
    public StepShape shape(GradientOperations operations) {
        return StepShape.of(sequences(), length, operations);
    }

    /** Returns what the original's states take of the host while a card takes steps, in fp16. */
    public long stateBytes() {
        return Short.BYTES * usedTokens() * config.hiddenSize();
    }
}
