package nibble.calibrate.stream;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.function.LongConsumer;
import java.util.stream.IntStream;
import nibble.checkpoint.model.Expert;
import nibble.checkpoint.model.LinearInput;
import nibble.checkpoint.model.ModelConfig;
import nibble.engine.backend.Backend;
import nibble.engine.backend.QuantizationDevices;
import nibble.engine.backend.Streams;
import nibble.engine.forward.Taps;
import nibble.engine.quantize.PairedMoments;
import nibble.engine.tensor.DecoderLayer;
import nibble.engine.tensor.DenseWeight;
import nibble.engine.tensor.Matrix;
import nibble.engine.tensor.Weight;

/**
 * Takes the calibration blocks through two models: the original, and the one whose layers are quantized so far. Every
 * other part belongs to the second half of the text. Some blocks are held back from the moments, to judge by. Owns the
 * streams.
 */
public final class PairedStream implements AutoCloseable {
    private final ModelConfig config;
    private final QuantizationDevices devices;
    private final CalibrationStream original;
    private final CalibrationStream quantized;
    /** The same two of the blocks that are held back; none of a short text. */
    private final Optional<HeldBackStream> heldBack;

    private PairedStream(ModelConfig config, QuantizationDevices devices, List<CalibrationStream> streams) {
        this.config = config;
        this.devices = devices;
        this.original = streams.get(0);
        this.quantized = streams.get(1);
        this.heldBack = streams.size() == 2
                ? Optional.empty()
                : Optional.of(new HeldBackStream(devices, streams.get(2), streams.get(3)));
    }

    /** The blocks of each stream, in the order in which they are saved. */
    private static List<int[][]> blocksOfStreams(int[][] blocks) {
        HeldBack.Split split = HeldBack.Split.of(blocks);
        return split.heldBack().length == 0
                ? List.of(split.fit(), split.fit())
                : List.of(split.fit(), split.fit(), split.heldBack(), split.heldBack());
    }

    private List<CalibrationStream> streams() {
        List<CalibrationStream> all = new ArrayList<>(List.of(original, quantized));
        heldBack.ifPresent(there -> all.addAll(there.streams()));
        return all;
    }

    /** Returns the streams of the blocks that are held back, if the text has any to spare. */
    public Optional<HeldBackStream> heldBack() {
        return heldBack;
    }

    /** Returns the embeddings of the blocks: what goes into layer 0 of both models. */
    public static PairedStream ofEmbeddings(
            ModelConfig config, DenseWeight embedding, int[][] blocks, QuantizationDevices devices) {
        List<CalibrationStream> streams = new ArrayList<>();
        for (int[][] part : blocksOfStreams(blocks)) {
            streams.add(CalibrationStream.ofEmbeddings(config, embedding, part, devices, Streams.PAIR));
        }
        return new PairedStream(config, devices, streams);
    }

    /**
     * Reads what {@link #save} wrote, the input of some later layer; nothing, if the bytes are not those of the hash.
     */
    public static Optional<PairedStream> read(
            Path file, String sha256, ModelConfig config, int[][] blocks, QuantizationDevices devices) {
        List<int[][]> parts = blocksOfStreams(blocks);
        List<Slot> slots = new ArrayList<>();
        for (int stream = 0; stream < parts.size(); stream++) {
            // An empty stream tells how its blocks form batches.
            try (CalibrationStream shape = CalibrationStream.empty(config, parts.get(stream), devices, Streams.PAIR)) {
                for (int batch = 0; batch < shape.size(); batch++) {
                    slots.add(new Slot(stream, batch, shape.tokens(batch)));
                }
            }
        }
        int[] rows = slots.stream().mapToInt(Slot::tokens).toArray();
        // Where a device keeps a stream depends on what those before it take of it.
        List<CalibrationStream> streams = new ArrayList<>();
        boolean whole = StreamFile.read(file, rows, config.hiddenSize(), sha256, (matrix, values) -> {
            Slot slot = slots.get(matrix);
            if (slot.stream == streams.size()) {
                streams.add(CalibrationStream.empty(config, parts.get(slot.stream), devices, Streams.PAIR));
            }
            streams.get(slot.stream).put(slot.batch, values);
        });
        if (whole && streams.size() == parts.size()) {
            return Optional.of(new PairedStream(config, devices, streams));
        }
        streams.reversed().forEach(CalibrationStream::close);
        return Optional.empty();
    }

    /** Where a saved matrix belongs. */
    private record Slot(int stream, int batch, int tokens) {}

    /** Returns the backends that hold both streams: the same batches of either on the same device. */
    public List<Backend> backends() {
        return devices.members();
    }

    /** Returns how many elements moments of gates and ups of a layer's experts may have together. */
    public long expertElements() {
        return devices.expertElements(config, Streams.PAIR);
    }

    /** Returns how many tokens moments are of. */
    public long tokens() {
        return IntStream.range(0, original.size()).mapToLong(original::tokens).sum();
    }

    /** Returns how many bytes {@link #save} writes. */
    public long bytes() {
        return streams().stream().mapToLong(CalibrationStream::bytes).sum();
    }

    /**
     * Writes the streams down, durably.
     *
     * @return SHA-256 of the file
     */
    public String save(Path file) {
        List<CalibrationStream> from = new ArrayList<>();
        List<Integer> batches = new ArrayList<>();
        for (CalibrationStream stream : streams()) {
            for (int batch = 0; batch < stream.size(); batch++) {
                from.add(stream);
                batches.add(batch);
            }
        }
        return StreamFile.write(file, from.size(), matrix -> from.get(matrix).values(batches.get(matrix)));
    }

    /**
     * Returns the moments of an input over all blocks; the caller closes them. For O and DOWN they are of what the
     * outputs lack, and the original's stream moves on through its half of the layer.
     *
     * @param fp the original layer, on each device
     * @param made the layer with what is quantized of it so far, on each device
     * @param onTokens told of so many tokens more
     */
    public PairedMoments moments(
            LinearInput input, List<DecoderLayer> fp, List<DecoderLayer> made, int columns, LongConsumer onTokens) {
        boolean behind = input == LinearInput.O || input == LinearInput.DOWN;
        PairedMoments moments = devices.pairedMoments(columns, behind ? config.hiddenSize() : 0);
        try {
            for (int i = 0; i < original.size(); i++) {
                add(input, fp, made, i, moments);
                if (original.part(i + 1) != original.part(i)) {
                    moments.endPart();
                }
                onTokens.accept(original.tokens(i));
            }
            return moments;
        } catch (RuntimeException | Error e) {
            moments.close();
            throw e;
        } finally {
            original.release();
            quantized.release();
        }
    }

    private void add(
            LinearInput input, List<DecoderLayer> fp, List<DecoderLayer> made, int batch, PairedMoments moments) {
        Backend backend = backends().get(original.member(batch));
        DecoderLayer layer = fp.get(original.member(batch));
        DecoderLayer soFar = made.get(original.member(batch));
        int half = original.part(batch) % 2;
        boolean moves = input == LinearInput.O || input == LinearInput.DOWN;
        original.use(batch, moves, (forward, before, sequences) -> {
            Matrix x = forward.input(input, layer, before, sequences);
            quantized.use(batch, false, (other, after, _) -> {
                Matrix y = other.input(input, soFar, after, sequences);
                try (Matrix lack = backend.allocate(x.rows(), x.columns())) {
                    backend.subtract(x, y, lack);
                    switch (input) {
                        case QKV, QUERY_LATENT, KEY_VALUE_LATENT, GATE_UP -> moments.add(y, lack, half);
                        case O -> addOutputs(backend, moments, y, lack, layer.o(), before, after, half);
                        case DOWN -> addOutputs(backend, moments, y, lack, layer.down(), before, after, half);
                    }
                }
            });
            switch (input) {
                // The rest of the original's half layer is known already; the quantized one's is not.
                case O -> forward.endAttention(layer, before);
                case DOWN -> forward.endMlp(layer, before, sequences);
                case QKV, QUERY_LATENT, KEY_VALUE_LATENT, GATE_UP -> {}
            }
        });
    }

    /**
     * Returns the moments of an input of each expert over the rows that the original's router sends to it, and over
     * those that fill them up; the caller closes them. What the outputs lack is not among them: the experts of a token
     * share it.
     *
     * @param input GATE_UP or DOWN
     * @param experts whose moments are wanted, none of them twice with the same tokens
     * @param tokens chooses the rows that fill up
     * @param moves whether the original's stream moves on through the MLP half of the layer
     */
    public Map<Expert, PairedMoments> expertMoments(
            LinearInput input,
            List<DecoderLayer> fp,
            List<DecoderLayer> made,
            List<Expert> experts,
            ExpertTokens tokens,
            boolean moves,
            LongConsumer onTokens) {
        Map<Expert, PairedMoments> moments = new TreeMap<>();
        try {
            for (Expert expert : experts) {
                moments.put(expert, devices.pairedMoments(config.width(input, expert), 0));
            }
            for (int i = 0; i < original.size(); i++) {
                add(new ExpertInputs(input, tokens), fp, made, i, moves, moments);
                if (original.part(i + 1) != original.part(i)) {
                    moments.values().forEach(PairedMoments::endPart);
                }
                onTokens.accept(original.tokens(i));
            }
            return moments;
        } catch (RuntimeException | Error e) {
            moments.values().forEach(PairedMoments::close);
            throw e;
        } finally {
            original.release();
            quantized.release();
        }
    }

    private void add(
            ExpertInputs inputs,
            List<DecoderLayer> fp,
            List<DecoderLayer> made,
            int batch,
            boolean moves,
            Map<Expert, PairedMoments> moments) {
        Backend backend = backends().get(original.member(batch));
        DecoderLayer layer = fp.get(original.member(batch));
        DecoderLayer soFar = made.get(original.member(batch));
        int half = original.part(batch) % 2;
        original.use(batch, moves, (forward, before, sequences) -> {
            ExpertInputs.Side fpSide = ExpertInputs.Side.of(forward, layer, before, sequences);
            int[][] routed = inputs.routed(fpSide);
            quantized.use(batch, false, (other, after, _) -> {
                ExpertInputs.Side madeSide = ExpertInputs.Side.of(other, soFar, after, sequences);
                moments.forEach((expert, into) -> {
                    int[] rows = inputs.rows(expert, routed, before.rows());
                    inputs.use(expert, rows, fpSide, madeSide, (x, y) -> addLack(backend, into, x, y, half));
                });
            });
            if (moves) {
                forward.mlp(layer, before, sequences);
            }
        });
    }

    private static void addLack(Backend backend, PairedMoments into, Matrix x, Matrix y, int half) {
        try (Matrix lack = backend.allocate(x.rows(), x.columns())) {
            backend.subtract(x, y, lack);
            into.add(y, lack, half);
        }
    }

    /** @param lack what the inputs of {@code weight} lack, whose outputs are added to the streams' states */
    private static void addOutputs(
            Backend backend,
            PairedMoments moments,
            Matrix inputs,
            Matrix lack,
            Weight weight,
            Matrix before,
            Matrix after,
            int half) {
        try (Matrix outputs = backend.allocate(before.rows(), before.columns())) {
            backend.subtract(before, after, outputs);
            backend.addLinear(weight, lack, outputs);
            moments.add(inputs, outputs, half);
        }
    }

    /**
     * Moves the quantized model's stream through the attention half of its layer, after the moments of O.
     *
     * @param fp the original layer, for the blocks that are held back
     */
    public void attention(List<DecoderLayer> fp, List<DecoderLayer> made) {
        heldBack.ifPresent(held -> held.attention(fp, made));
        for (int i = 0; i < quantized.size(); i++) {
            DecoderLayer layer = made.get(quantized.member(i));
            quantized.use(
                    i, true, (forward, hidden, sequences) -> forward.attention(layer, hidden, sequences, Taps.NONE));
        }
    }

    /** Moves it through the MLP half of its layer, after the moments of DOWN. */
    public void mlp(List<DecoderLayer> fp, List<DecoderLayer> made) {
        heldBack.ifPresent(held -> held.mlp(fp, made));
        for (int i = 0; i < quantized.size(); i++) {
            DecoderLayer layer = made.get(quantized.member(i));
            quantized.use(i, true, (forward, hidden, sequences) -> forward.mlp(layer, hidden, sequences));
        }
    }

    @Override
    public void close() {
        streams().reversed().forEach(CalibrationStream::close);
    }
}
