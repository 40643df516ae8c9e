package nibble.calibrate;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.function.LongConsumer;
import nibble.convert.LlamaConfig;
import nibble.engine.ActivationStore;
import nibble.engine.Backend;
import nibble.engine.DecoderLayer;
import nibble.engine.DenseWeight;
import nibble.engine.Forward;
import nibble.engine.Matrix;
import nibble.engine.Taps;

/**
 * The calibration blocks on their way through the original model, a layer at a time. Every layer sees what the unquantized
 * layers before it give, so layers do not depend on how others were rounded. Owns the hidden states.
 *
 * <p>Blocks of equal length go through a layer in batches of the backend's choice. Batches form parts, the same on any number of
 * devices, in which statistics are summed.
 */
final class CalibrationStream implements AutoCloseable {
    /** As many devices can share the work and come to the same bits as one. */
    private static final int MOST_PARTS = 8;

    /** @param sequences blocks of one length */
    private record Batch(List<int[]> sequences) {
        int tokens() {
            return sequences.size() * sequences.getFirst().length;
        }

        int[] ids() {
            return sequences.stream().flatMapToInt(Arrays::stream).toArray();
        }
    }

    private final LlamaConfig config;
    private final Backend backend;
    private final Forward forward;
    private final List<Batch> batches;
    private final ActivationStore hidden;

    private CalibrationStream(LlamaConfig config, List<Batch> batches, ActivationStore hidden, Backend backend) {
        this.config = config;
        this.backend = backend;
        this.forward = new Forward(config, backend);
        this.batches = batches;
        this.hidden = hidden;
    }

    /** The embeddings of the blocks: what goes into layer 0. */
    static CalibrationStream ofEmbeddings(LlamaConfig config, DenseWeight embedding, int[][] blocks, Backend backend) {
        CalibrationStream stream = empty(config, blocks, backend);
        for (Batch batch : stream.batches) {
            stream.hidden.add(stream.forward.embed(embedding, batch.ids()));
        }
        return stream;
    }

    /** What goes into some later layer, as {@link #save} wrote it; nothing, if the bytes are not those of the hash. */
    static Optional<CalibrationStream> read(
            Path file, String sha256, LlamaConfig config, int[][] blocks, Backend backend) {
        CalibrationStream stream = empty(config, blocks, backend);
        int[] rows = stream.batches.stream().mapToInt(Batch::tokens).toArray();
        if (StreamFile.read(file, rows, config.hiddenSize(), sha256, backend, stream.hidden)) {
            return Optional.of(stream);
        }
        stream.close();
        return Optional.empty();
    }

    private static CalibrationStream empty(LlamaConfig config, int[][] blocks, Backend backend) {
        List<Batch> batches = batches(config, blocks, backend);
        long tokens = Arrays.stream(blocks).mapToLong(block -> block.length).sum();
        ActivationStore store = backend.activationStore(tokens * config.hiddenSize(), config);
        return new CalibrationStream(config, batches, store, backend);
    }

    private static List<Batch> batches(LlamaConfig config, int[][] blocks, Backend backend) {
        List<Batch> batches = new ArrayList<>();
        List<int[]> sequences = new ArrayList<>();
        for (int[] block : blocks) {
            if (!sequences.isEmpty()
                    && (sequences.getFirst().length != block.length
                            || sequences.size() == backend.sequencesPerBatch(config, block.length))) {
                batches.add(new Batch(List.copyOf(sequences)));
                sequences.clear();
            }
            sequences.add(block);
        }
        batches.add(new Batch(List.copyOf(sequences)));
        return batches;
    }

    /** Bytes that {@link #save} writes. */
    long bytes() {
        return batches.stream().mapToLong(batch -> (long) Float.BYTES * batch.tokens() * config.hiddenSize()).sum();
    }

    /**
     * Writes the stream down, durably.
     *
     * @return SHA-256 of the file
     */
    String save(Path file) {
        return StreamFile.write(file, hidden, backend);
    }

    /**
     * Moves all blocks through the next layer.
     *
     * @param layer where the backend computes
     * @param statistics of the inputs of the layer's linears
     * @param onTokens told of so many tokens more
     */
    void advance(DecoderLayer layer, LayerStatistics statistics, LongConsumer onTokens) {
        int part = 0;
        for (int i = 0; i < batches.size(); i++) {
            run(layer, i, statistics, onTokens);
            int next = part(i + 1);
            if (next != part) {
                statistics.endPart();
                part = next;
            }
        }
    }

    /** The part that a batch belongs to; one more than the last for the batch after the last. */
    private int part(int batch) {
        int parts = Math.min(MOST_PARTS, batches.size());
        return (int) ((long) batch * parts / batches.size());
    }

    /** The same for a layer that is quantized already: nobody looks. */
    void pass(DecoderLayer layer, LongConsumer onTokens) {
        for (int i = 0; i < batches.size(); i++) {
            run(layer, i, Taps.NONE, onTokens);
        }
    }

    private void run(DecoderLayer layer, int index, Taps taps, LongConsumer onTokens) {
        Batch batch = batches.get(index);
        Matrix states = hidden.borrow(index);
        forward.layer(layer, states, batch.sequences().size(), taps);
        hidden.giveBack(index, true);
        onTokens.accept(batch.tokens());
    }

    @Override
    public void close() {
        forward.close();
        hidden.close();
    }
}
