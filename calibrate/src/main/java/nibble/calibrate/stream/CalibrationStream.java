package nibble.calibrate.stream;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.function.LongConsumer;
import nibble.checkpoint.model.ModelConfig;
import nibble.engine.backend.ActivationStore;
import nibble.engine.backend.Backend;
import nibble.engine.backend.QuantizationDevices;
import nibble.engine.backend.Streams;
import nibble.engine.forward.Forward;
import nibble.engine.forward.Taps;
import nibble.engine.tensor.DecoderLayer;
import nibble.engine.tensor.DenseWeight;
import nibble.engine.tensor.Matrix;

/**
 * Takes the calibration blocks through the original model, a layer at a time. Every layer sees what the unquantized
 * layers before it give, so layers do not depend on how others were rounded. Owns the hidden states.
 *
 * <p>Blocks of equal length go through a layer in batches of the backend's choice. Batches form parts, the same on any
 * number of devices, in which statistics are summed; devices take parts in turn.
 */
public final class CalibrationStream implements AutoCloseable {
    /** The largest number of devices that can share the work with bit-identical results. */
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

    /** A device with the batches that it takes through the layers. */
    private record Member(Backend backend, Forward forward, ActivationStore hidden) {}

    /** Where a batch is: the index-th of a member. */
    private record Place(Member member, int number, int index) {}

    private final ModelConfig config;
    private final List<Batch> batches;
    private final List<Member> members;
    private final List<Place> places = new ArrayList<>();

    private CalibrationStream(ModelConfig config, int[][] blocks, QuantizationDevices devices, Streams streams) {
        this.config = config;
        this.batches = batches(config, blocks, devices.members().getFirst(), streams);
        this.members = new ArrayList<>();
        long[] tokens = new long[devices.members().size()];
        for (int batch = 0; batch < batches.size(); batch++) {
            tokens[part(batch) % tokens.length] += batches.get(batch).tokens();
        }
        for (int i = 0; i < tokens.length; i++) {
            Backend backend = devices.members().get(i);
            backend.makeCurrent();
            members.add(new Member(
                    backend,
                    new Forward(config, backend),
                    backend.activationStore(tokens[i] * config.hiddenSize(), config, streams)));
        }
        int[] taken = new int[tokens.length];
        for (int batch = 0; batch < batches.size(); batch++) {
            int member = part(batch) % tokens.length;
            places.add(new Place(members.get(member), member, taken[member]++));
        }
    }

    /** Returns the embeddings of the blocks: what goes into layer 0. */
    public static CalibrationStream ofEmbeddings(
            ModelConfig config, DenseWeight embedding, int[][] blocks, QuantizationDevices devices, Streams streams) {
        CalibrationStream stream = new CalibrationStream(config, blocks, devices, streams);
        for (int i = 0; i < stream.batches.size(); i++) {
            Member member = stream.places.get(i).member();
            member.backend().makeCurrent();
            member.hidden()
                    .add(member.forward().embed(embedding, stream.batches.get(i).ids()));
        }
        return stream;
    }

    /** What is done with a batch where it lies. */
    @FunctionalInterface
    interface Use {
        /**
         * Runs a batch through the layer.
         *
         * @param hidden the batch's activations, {@code sequences} blocks of one length
         */
        void of(Forward forward, Matrix hidden, int sequences);
    }

    /** Batches of blocks, which are used one at a time. */
    int size() {
        return batches.size();
    }

    int tokens(int batch) {
        return batches.get(batch).tokens();
    }

    /** Lends a batch. */
    void use(int batch, boolean changed, Use use) {
        Place place = places.get(batch);
        Member member = place.member();
        member.backend().makeCurrent();
        use.of(
                member.forward(),
                member.hidden().borrow(place.index()),
                batches.get(batch).sequences().size());
        member.hidden().giveBack(place.index(), changed);
    }

    /** Frees the activations inside a layer, until a batch is used again. */
    void release() {
        for (Member member : members) {
            member.backend().makeCurrent();
            member.forward().close();
        }
        members.getFirst().backend().makeCurrent();
    }

    /** The values of a batch. */
    float[] values(int batch) {
        Place place = places.get(batch);
        place.member().backend().makeCurrent();
        float[] values =
                place.member().backend().download(place.member().hidden().borrow(place.index()));
        place.member().hidden().giveBack(place.index(), false);
        return values;
    }

    /** A stream that batches are put into, in order, with {@link #put}. */
    static CalibrationStream empty(ModelConfig config, int[][] blocks, QuantizationDevices devices, Streams streams) {
        return new CalibrationStream(config, blocks, devices, streams);
    }

    void put(int batch, float[] values) {
        Member member = places.get(batch).member();
        member.backend().makeCurrent();
        member.hidden().add(member.backend().upload(values, tokens(batch), config.hiddenSize()));
    }

    /**
     * Reads what {@link #save} wrote, the input of some later layer; nothing, if the bytes are not those of the hash.
     */
    public static Optional<CalibrationStream> read(
            Path file, String sha256, ModelConfig config, int[][] blocks, QuantizationDevices devices) {
        CalibrationStream stream = new CalibrationStream(config, blocks, devices, Streams.ONE);
        int[] rows = stream.batches.stream().mapToInt(Batch::tokens).toArray();
        boolean whole = StreamFile.read(file, rows, config.hiddenSize(), sha256, stream::put);
        if (whole) {
            return Optional.of(stream);
        }
        stream.close();
        return Optional.empty();
    }

    private static List<Batch> batches(ModelConfig config, int[][] blocks, Backend backend, Streams streams) {
        List<Batch> batches = new ArrayList<>();
        List<int[]> sequences = new ArrayList<>();
        // Where halves of the text are compared, each needs parts of its own.
        int most = streams == Streams.PAIR ? (blocks.length + MOST_PARTS - 1) / MOST_PARTS : blocks.length;
        for (int[] block : blocks) {
            if (!sequences.isEmpty()
                    && (sequences.getFirst().length != block.length
                            || sequences.size() == Math.min(most, backend.sequencesPerBatch(config, block.length)))) {
                batches.add(new Batch(List.copyOf(sequences)));
                sequences.clear();
            }
            sequences.add(block);
        }
        batches.add(new Batch(List.copyOf(sequences)));
        return batches;
    }

    /** Returns how many bytes {@link #save} writes. */
    public long bytes() {
        return batches.stream()
                .mapToLong(batch -> (long) Float.BYTES * batch.tokens() * config.hiddenSize())
                .sum();
    }

    /**
     * Writes the stream down, durably.
     *
     * @return SHA-256 of the file
     */
    public String save(Path file) {
        return StreamFile.write(file, batches.size(), this::values);
    }

    /**
     * Moves all blocks through the next layer.
     *
     * @param layer on each device
     * @param statistics of the inputs of the layer's linears
     * @param onTokens told of so many tokens more
     */
    public void advance(List<DecoderLayer> layer, LayerStatistics statistics, LongConsumer onTokens) {
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

    /**
     * Does what {@link #advance} does, and keeps what goes into the MLP half of the layer, whose attention and MLP do
     * not read one norm.
     *
     * @return what is kept, for {@link #useKept}; the caller closes it
     */
    List<ActivationStore> advanceKeeping(List<DecoderLayer> layer, LayerStatistics statistics, LongConsumer onTokens) {
        List<ActivationStore> kept = new ArrayList<>();
        try {
            for (Member member : members) {
                member.backend().makeCurrent();
                kept.add(member.backend().hostStore());
            }
            for (int i = 0; i < batches.size(); i++) {
                DecoderLayer weights = layer.get(member(i));
                Member member = places.get(i).member();
                ActivationStore into = kept.get(member(i));
                use(i, true, (forward, hidden, sequences) -> {
                    forward.attention(weights, hidden, sequences, statistics);
                    Matrix copy = member.backend().allocate(hidden.rows(), hidden.columns());
                    member.backend().copyRows(hidden, 0, hidden.rows(), copy, 0);
                    into.add(copy);
                    forward.mlp(weights, hidden, statistics);
                });
                if (part(i + 1) != part(i)) {
                    statistics.endPart();
                }
                onTokens.accept(tokens(i));
            }
            return kept;
        } catch (RuntimeException | Error e) {
            closeKept(kept);
            throw e;
        }
    }

    /** Lends a batch of what was kept. */
    void useKept(List<ActivationStore> kept, int batch, Use use) {
        Place place = places.get(batch);
        ActivationStore store = kept.get(place.number());
        place.member().backend().makeCurrent();
        use.of(
                place.member().forward(),
                store.borrow(place.index()),
                batches.get(batch).sequences().size());
        store.giveBack(place.index(), false);
    }

    void closeKept(List<ActivationStore> kept) {
        for (int i = kept.size() - 1; i >= 0; i--) {
            members.get(i).backend().makeCurrent();
            kept.get(i).close();
        }
    }

    /** Where a batch lies among the devices. */
    int member(int batch) {
        return places.get(batch).number();
    }

    /** The part that a batch belongs to; one more than the last for the batch after the last. */
    int part(int batch) {
        int parts = Math.min(MOST_PARTS, batches.size());
        return (int) ((long) batch * parts / batches.size());
    }

    /** Does the same for a layer that is quantized already: nobody looks. */
    public void pass(List<DecoderLayer> layer, LongConsumer onTokens) {
        for (int i = 0; i < batches.size(); i++) {
            run(layer, i, Taps.NONE, onTokens);
        }
    }

    private void run(List<DecoderLayer> layer, int index, Taps taps, LongConsumer onTokens) {
        Batch batch = batches.get(index);
        Place place = places.get(index);
        Member member = place.member();
        member.backend().makeCurrent();
        Matrix states = member.hidden().borrow(place.index());
        member.forward()
                .layer(layer.get(place.number()), states, batch.sequences().size(), taps);
        member.hidden().giveBack(place.index(), true);
        onTokens.accept(batch.tokens());
    }

    @Override
    public void close() {
        for (Member member : members.reversed()) {
            member.backend().makeCurrent();
            member.forward().close();
            member.hidden().close();
        }
    }
}
