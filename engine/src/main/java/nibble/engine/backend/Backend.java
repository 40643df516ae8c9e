package nibble.engine.backend;

import java.util.Optional;
import java.util.OptionalDouble;
import java.util.function.IntFunction;
import nibble.checkpoint.model.ModelConfig;
import nibble.engine.attention.CacheType;
import nibble.engine.tensor.DecoderLayer;
import nibble.engine.tensor.LayerFeed;
import nibble.engine.tensor.LogitRule;
import nibble.engine.tensor.Matrix;
import nibble.engine.tensor.ModelWeights;
import nibble.engine.tensor.PlacedModel;
import nibble.engine.tensor.Weight;

/**
 * Computes on one device: it brings a model's weights to where it computes, and offers the operations of a forward pass
 * and of quantizing. Results never depend on the number of threads. {@link nibble.engine.host.ReferenceBackend} is the
 * specification.
 */
public interface Backend extends LayerOperations, QuantizationOperations, AutoCloseable {
    /** Returns the kind of device, which tells how results are rounded and how {@code --device} names it. */
    DeviceKind kind();

    /** Describes device and instruction set, for the reader of a report. */
    String description();

    /**
     * Describes what determines the bits of results: neither the number of threads nor which of several equal devices.
     */
    String arithmetic();

    /** Returns the form in which linear layers take activations. */
    default Activations activations() {
        return Activations.FP32;
    }

    /**
     * Brings a model's weights to where this backend computes, or as many of them as fit: the others follow layer by
     * layer when they are asked for. On the CPU the weights stay where they are.
     */
    PlacedModel place(ModelWeights weights);

    /**
     * Names what a device leaves to the host: a model's first layers and its embedding.
     *
     * @param backend of the host; the device's, which closes it
     * @param layers from the first on, at least 1
     */
    record HostShare(Backend backend, int layers) {}

    /** Returns what of a model this backend leaves to the host, if it does not compute all of it. */
    default Optional<HostShare> hostShare(ModelWeights weights) {
        return Optional.empty();
    }

    /**
     * Brings decoder layers to where this backend computes, one after another as they are asked for, the next one while
     * one is used.
     *
     * @param read a layer on the host; may be called ahead of its use, from another thread
     * @param layers their number
     */
    LayerFeed feed(IntFunction<DecoderLayer> read, int layers);

    /**
     * Returns the decoder that runs single tokens faster than Forward, if this backend has it for
     * a model of this kind.
     */
    default Optional<Decoder> decoder(PlacedModel model, KeyValueCache cache) {
        return Optional.empty();
    }

    /**
     * Returns the decoder that runs the next tokens of several sequences, if this backend has it for a model of this
     * kind.
     *
     * @param rows most tokens of a call; fewer if the backend takes no more at a time
     */
    default Optional<BatchDecoder> batchDecoder(PlacedModel model, BlockCache cache, int rows) {
        return Optional.empty();
    }

    /**
     * Computes {@code log softmax(x[t] headᵀ)[next[t]]} for each row: logits are made a tile at a time, never all of
     * them.
     *
     * @param rule what becomes of products in front of softmax
     * @param x after the final norm, [tokens, hidden]
     * @param next one id a row
     */
    default float[] logProbabilities(Weight head, LogitRule rule, Matrix x, int[] next) {
        return score(head, rule, x, next).logProbabilities();
    }

    /** Computes {@link #logProbabilities}, and with each the likeliest id of its row. */
    TokenScores score(Weight head, LogitRule rule, Matrix x, int[] next);

    /**
     * Allocates rows of 8-bit codes with a scale for each head, all zero: keys or values. {@link #scatterRows} rounds
     * rows into them, and attention to blocks reads them. {@code download} gives the values of the codes.
     *
     * @param head columns of a head, which divide {@code columns}
     */
    Matrix allocateCodes(int rows, int columns, int head);

    /** Returns the operations of a backward pass. */
    GradientOperations gradients();

    /** Returns how many sequences of this many tokens fill the device when they run as one batch; at least 1. */
    default int sequencesPerBatch(ModelConfig config, int tokens) {
        return 1;
    }

    /**
     * Returns the most texts whose next tokens go through a model together. On the CPU each then has the bits that it
     * has alone; more are taken in several passes.
     */
    default int textsTogether() {
        return Integer.MAX_VALUE;
    }

    /** Returns how many tokens of prompts a pass through a model best reads, where no text waits for it. */
    default int promptTokensTogether() {
        return 512;
    }

    /** Returns the bytes of a number of keys and values. */
    default int cacheNumberBytes() {
        return Float.BYTES;
    }

    /** Returns the most memory that keys and values of a model should take now. */
    default long cacheMemory(ModelConfig config) {
        return Runtime.getRuntime().maxMemory() / 2;
    }

    /** Returns the bytes that keys and values of a token take. */
    default long cacheTokenBytes(ModelConfig config, CacheType type) {
        return type.tokenBytes(config, cacheNumberBytes());
    }

    /**
     * Returns how many tokens a cache of keys and values shall have: as many as are wanted, if memory allows.
     *
     * @param least that it has in any case
     */
    default int cacheTokens(ModelConfig config, CacheType type, long wanted, int least) {
        return cacheTokens(config, type, cacheMemory(config), wanted, least);
    }

    /** Does the same within a memory in bytes. */
    default int cacheTokens(ModelConfig config, CacheType type, long memory, long wanted, int least) {
        long fits = memory / cacheTokenBytes(config, type);
        return (int) Math.min(Integer.MAX_VALUE / 2, Math.max(least, Math.min(fits, wanted)));
    }

    /** Returns whether texts written together take less time than one after another. */
    default boolean gainsByBatching() {
        return false;
    }

    /** Says that the calling thread is about to use this backend, where it used another one before. */
    default void makeCurrent() {}

    /** Returns the memory of a device that is taken now; 0 where memory is the host's. */
    default long deviceBytes() {
        return 0;
    }

    /** Returns the most memory of a device that was ever taken; 0 where memory is the host's. */
    default long peakDeviceBytes() {
        return 0;
    }

    /**
     * Returns the bytes a second that reading the device's memory reaches at most; empty where memory is the host's.
     */
    default OptionalDouble readBytesPerSecond() {
        return OptionalDouble.empty();
    }

    /** Measures the floating-point operations a second of the products that quantizing makes. */
    double productFlopsPerSecond();

    /**
     * Predicts the device memory that a quantization takes; empty where memory is the host's.
     *
     * @param sequences blocks of the calibration text
     * @param sequenceLength tokens of a block
     */
    default Optional<CalibrationMemory> calibrationMemory(
            ModelConfig config, Streams streams, int sequences, int sequenceLength) {
        return Optional.empty();
    }

    /** Waits until all that was asked is done; only timing needs it, since {@code download} waits too. */
    default void synchronize() {}

    @Override
    void close();
}
