package nibble.calibrate.stream;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.function.LongConsumer;
import nibble.checkpoint.model.LinearInput;
import nibble.checkpoint.model.ModelConfig;
import nibble.engine.backend.Backend;
import nibble.engine.backend.QuantizationDevices;
import nibble.engine.backend.Streams;
import nibble.engine.quantize.PairedMoments;
import nibble.engine.tensor.DecoderLayer;
import nibble.engine.tensor.DenseWeight;
import nibble.engine.tensor.Matrix;
import nibble.engine.tensor.Weight;

/**
 * Takes the calibration blocks through two models: the original, and the one whose layers are quantized so far. Every
 * other part belongs to the second half of the text. Owns both streams.
 */
public final class PairedStream implements AutoCloseable {
    private final ModelConfig config;
    private final QuantizationDevices devices;
    private final CalibrationStream original;
    private final CalibrationStream quantized;

    private PairedStream(
            ModelConfig config, QuantizationDevices devices, CalibrationStream original, CalibrationStream quantized) {
        this.config = config;
        this.devices = devices;
        this.original = original;
        this.quantized = quantized;
    }

    /** Returns the embeddings of the blocks: what goes into layer 0 of both models. */
    public static PairedStream ofEmbeddings(
            ModelConfig config, DenseWeight embedding, int[][] blocks, QuantizationDevices devices) {
        return new PairedStream(
                config,
                devices,
                CalibrationStream.ofEmbeddings(config, embedding, blocks, devices, Streams.PAIR),
                CalibrationStream.ofEmbeddings(config, embedding, blocks, devices, Streams.PAIR));
    }

    /**
     * Reads what {@link #save} wrote, the input of some later layer; nothing, if the bytes are not those of the hash.
     */
    public static Optional<PairedStream> read(
            Path file, String sha256, ModelConfig config, int[][] blocks, QuantizationDevices devices) {
        CalibrationStream original = CalibrationStream.empty(config, blocks, devices, Streams.PAIR);
        int size = original.size();
        int[] rows = new int[2 * size];
        for (int i = 0; i < rows.length; i++) {
            rows[i] = original.tokens(i % size);
        }
        // Where a device keeps the second stream depends on what the first one takes of it.
        List<CalibrationStream> streams = new ArrayList<>(List.of(original));
        boolean whole = StreamFile.read(file, rows, config.hiddenSize(), sha256, (matrix, values) -> {
            if (matrix / size == streams.size()) {
                streams.add(CalibrationStream.empty(config, blocks, devices, Streams.PAIR));
            }
            streams.get(matrix / size).put(matrix % size, values);
        });
        if (whole && streams.size() == 2) {
            return Optional.of(new PairedStream(config, devices, original, streams.getLast()));
        }
        streams.reversed().forEach(CalibrationStream::close);
        return Optional.empty();
    }

    /** Returns the backends that hold both streams: the same batches of either on the same device. */
    public List<Backend> backends() {
        return devices.members();
    }

    /** Returns how many bytes {@link #save} writes. */
    public long bytes() {
        return original.bytes() + quantized.bytes();
    }

    /**
     * Writes both streams down, durably.
     *
     * @return SHA-256 of the file
     */
    public String save(Path file) {
        int size = original.size();
        return StreamFile.write(file, 2 * size, matrix -> (matrix < size ? original : quantized).values(matrix % size));
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
                        case QKV, GATE_UP -> moments.add(y, lack, half);
                        case O -> addOutputs(backend, moments, y, lack, layer.o(), before, after, half);
                        case DOWN -> addOutputs(backend, moments, y, lack, layer.down(), before, after, half);
                    }
                }
            });
            switch (input) {
                // The rest of the original's half layer is known already; the quantized one's is not.
                case O -> forward.endAttention(layer, before);
                case DOWN -> forward.endMlp(layer, before);
                case QKV, GATE_UP -> {}
            }
        });
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

    /** Moves the quantized model's stream through the attention half of its layer, after the moments of O. */
    public void attention(List<DecoderLayer> made) {
        for (int i = 0; i < quantized.size(); i++) {
            DecoderLayer layer = made.get(quantized.member(i));
            quantized.use(i, true, (forward, hidden, sequences) -> forward.attention(layer, hidden, sequences));
        }
    }

    /** Moves the quantized model's stream through the MLP half of its layer, after the moments of DOWN. */
    public void mlp(List<DecoderLayer> made) {
        for (int i = 0; i < quantized.size(); i++) {
            DecoderLayer layer = made.get(quantized.member(i));
            quantized.use(i, true, (forward, hidden, _) -> forward.mlp(layer, hidden));
        }
    }

    @Override
    public void close() {
        quantized.close();
        original.close();
    }
}
