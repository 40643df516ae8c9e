package nibble.calibrate;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.function.DoubleConsumer;
import nibble.checkpoint.Checkpoint;
import nibble.checkpoint.gguf.GgufLatent;
import nibble.checkpoint.model.Expert;
import nibble.checkpoint.model.Linear;
import nibble.checkpoint.model.LinearInput;
import nibble.checkpoint.model.LinearModule;
import nibble.checkpoint.model.ModelConfig;
import nibble.checkpoint.model.TensorNames;
import nibble.checkpoint.source.BadCheckpointException;
import nibble.convert.blocks.Importance;
import nibble.convert.gguf.GgufExporter;
import nibble.datasets.TokenBlocks;
import nibble.engine.backend.Backend;
import nibble.engine.forward.AbsorbedInputs;
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
        private final Map<Place, double[]> sums = new HashMap<>();
        private final Map<Place, Long> tokens = new HashMap<>();

        /** Where the input of some linears is. */
        private record Place(LinearInput input, Expert expert) {}

        /** Those of the halves of kv_b_proj, for each head; empty where there are none. */
        private double[] keys = new double[0];

        private double[] values = new double[0];
        private long absorbed;

        private Squares(Backend backend) {
            this.backend = backend;
        }

        @Override
        public void tap(LinearInput input, Expert expert, Matrix x) {
            int columns = x.columns();
            Place place = new Place(input, expert);
            add(backend.download(x), sums.computeIfAbsent(place, _ -> new double[columns]));
            tokens.merge(place, (long) x.rows(), Long::sum);
        }

        @Override
        public void absorbed(AbsorbedInputs inputs) {
            keys = added(inputs.queries(), keys, inputs.rows());
            values = added(inputs.attended(), values, inputs.rows());
            absorbed += inputs.rows();
        }

        private static double[] added(float[] values, double[] sums, int rows) {
            double[] into = sums.length == 0 ? new double[values.length / rows] : sums;
            add(values, into);
            return into;
        }

        /** Adds the squares of rows. */
        private static void add(float[] values, double[] into) {
            for (int at = 0; at < values.length; at += into.length) {
                for (int i = 0; i < into.length; i++) {
                    into[i] += (double) values[at + i] * values[at + i];
                }
            }
        }

        /** The sums of a half of kv_b_proj, those of all heads one after another. */
        private Importance.Entry half(String tensor) {
            double[] sums = tensor.equals(GgufLatent.KEYS) ? keys : values;
            float[] squares = new float[sums.length];
            for (int i = 0; i < squares.length; i++) {
                squares[i] = (float) sums[i];
            }
            return new Importance.Entry(squares, absorbed);
        }

        /** The sums of a linear, or of that of several experts one after another: zeros where no token came. */
        private Importance.Entry entry(LinearInput input, List<Expert> experts, int features) {
            float[] squares = new float[Math.multiplyExact(experts.size(), features)];
            float[] counts = new float[experts.size()];
            for (int e = 0; e < counts.length; e++) {
                Place place = new Place(input, experts.get(e));
                double[] found = sums.getOrDefault(place, new double[features]);
                for (int i = 0; i < features; i++) {
                    squares[e * features + i] = (float) found[i];
                }
                counts[e] = tokens.getOrDefault(place, 0L);
            }
            return new Importance.Entry(squares, counts);
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
                    if (module.parts().contains(Linear.KV_B)) {
                        for (String half : List.of(GgufLatent.KEYS, GgufLatent.VALUES)) {
                            Importance.Entry entry = squares.half(half);
                            requireFinite(source, module.name(layer), entry);
                            entries.put("blk." + layer + "." + half, entry);
                        }
                        continue;
                    }
                    String name = GgufExporter.tensorName(module, layer);
                    if (entries.containsKey(name)) {
                        continue;
                    }
                    Importance.Entry entry = squares.entry(
                            module.input(),
                            module.expert().isRouted() ? routed(source.config(), layer) : List.of(module.expert()),
                            source.config().inFeatures(module));
                    requireFinite(source, module.name(layer), entry);
                    entries.put(name, entry);
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

    /** The experts whose linears are one tensor in GGUF. */
    private static List<Expert> routed(ModelConfig config, int layer) {
        return config.experts(layer).orElseThrow().all().stream()
                .filter(Expert::isRouted)
                .toList();
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
