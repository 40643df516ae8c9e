package nibble.calibrate;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.function.DoubleConsumer;
import nibble.checkpoint.Checkpoint;
import nibble.checkpoint.model.Expert;
import nibble.checkpoint.model.LinearInput;
import nibble.checkpoint.model.LinearModule;
import nibble.checkpoint.model.ModelConfig;
import nibble.checkpoint.model.TensorNames;
import nibble.checkpoint.source.BadCheckpointException;
import nibble.convert.blocks.Importance;
import nibble.convert.gguf.GgufExporter;
import nibble.datasets.TokenBlocks;
import nibble.engine.backend.Backend;
import nibble.engine.forward.Forward;
import nibble.engine.forward.Taps;
import nibble.engine.tensor.DecoderLayer;
import nibble.engine.tensor.DenseWeight;
import nibble.engine.tensor.LayerFeed;
import nibble.engine.tensor.Matrix;

/**
 * Runs calibration text through a model, a layer at a time, and sums the squares of what goes into its linears. Memory
 * is that of one layer, the text's hidden states and one number a feature.
 */
public final class ImportanceMeasurement {
    private ImportanceMeasurement() {}

    /** Sums of a layer, in double. */
    private static final class Squares implements Taps {
        private final Backend backend;
        private final Map<LinearInput, double[]> sums = new EnumMap<>(LinearInput.class);
        private long tokens;

        private Squares(Backend backend) {
            this.backend = backend;
        }

        @Override
        public void tap(LinearInput input, Expert expert, Matrix x) {
            int columns = x.columns();
            double[] into = sums.computeIfAbsent(input, _ -> new double[columns]);
            float[] values = backend.download(x);
            for (int at = 0; at < values.length; at += columns) {
                for (int i = 0; i < columns; i++) {
                    into[i] += (double) values[at + i] * values[at + i];
                }
            }
            tokens += input == LinearInput.QKV ? x.rows() : 0;
        }

        private Importance.Entry entry(LinearInput input) {
            double[] found = sums.getOrDefault(input, new double[0]);
            float[] squares = new float[found.length];
            for (int i = 0; i < squares.length; i++) {
                squares[i] = (float) found[i];
            }
            return new Importance.Entry(squares, tokens);
        }
    }

    /**
     * Measures all linears of all layers.
     *
     * @param source dense or quantized
     * @param progress told the fraction done, 0 to 1
     * @throws BadCheckpointException if the activations are not finite
     */
    public static Importance measure(Checkpoint source, TokenBlocks blocks, Backend backend, DoubleConsumer progress) {
        ModelConfig config = source.config();
        if (config.experts().isPresent() || config.latent().isPresent()) {
            throw new BadCheckpointException(
                    source.configFile(),
                    "importance of "
                            + (config.experts().isPresent() ? "a mixture of experts" : "latent attention")
                            + " is not yet measured; leave it out");
        }
        SortedMap<String, Importance.Entry> entries = new TreeMap<>();
        int layers = source.config().layers();
        double steps = (double) layers * blocks.blocks().length;
        List<Matrix> hidden = new ArrayList<>();
        try (Forward forward = new Forward(source.config(), backend);
                LayerFeed feed = backend.feed(index -> DecoderLayer.read(source, index), layers)) {
            DenseWeight embedding = new DenseWeight(source.tensor(TensorNames.EMBEDDING));
            for (int[] block : blocks.blocks()) {
                hidden.add(forward.embed(embedding, block));
            }
            for (int layer = 0; layer < layers; layer++) {
                Squares squares = new Squares(backend);
                DecoderLayer weights = feed.layer(layer);
                for (int block = 0; block < hidden.size(); block++) {
                    forward.layer(weights, hidden.get(block), 1, squares);
                    progress.accept((layer * (double) hidden.size() + block + 1) / steps);
                }
                for (LinearModule module : source.config().modules(layer)) {
                    Importance.Entry entry = squares.entry(module.input());
                    requireFinite(source, module.name(layer), entry);
                    entries.put(GgufExporter.tensorName(module, layer), entry);
                }
            }
        } finally {
            hidden.forEach(Matrix::close);
        }
        int tokens = Arrays.stream(blocks.blocks())
                .mapToInt(block -> block.length)
                .max()
                .orElse(0);
        return new Importance(source.folder(), List.of(blocks.description()), blocks.blocks().length, tokens, entries);
    }

    private static void requireFinite(Checkpoint source, String module, Importance.Entry entry) {
        for (float square : entry.squares()) {
            if (!Float.isFinite(square)) {
                throw new BadCheckpointException(
                        source.folder(),
                        module
                                + ": the activations of the calibration text are not finite, so these are not the"
                                + " weights of a working model; get them again");
            }
        }
    }
}
