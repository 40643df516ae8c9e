package nibble.checkpoint.model;

import com.fasterxml.jackson.databind.JsonNode;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.stream.Stream;
import nibble.checkpoint.model.keys.ConfigDefaults;
import nibble.checkpoint.model.layer.AttentionTemperature;
import nibble.checkpoint.model.layer.HeadNorm;
import nibble.checkpoint.model.layer.LayerAttention;
import nibble.checkpoint.model.layer.Rope;
import nibble.checkpoint.source.BadCheckpointException;
import nibble.checkpoint.source.ConfigKeys;

/**
 * Holds Llama 4's decoder of text: experts whose inputs are multiplied by their scores, in layers of a step; rope of
 * neighbours with attention to chunks, but in every fourth layer, which sees all positions without rope.
 */
public final class Llama4Family {
    private static final String HEAD_NORMS = "use_qk_norm";
    private static final String CHUNK = "attention_chunk_size";
    private static final String ROPE_LAYERS = "no_rope_layers";
    private static final String INTERVAL = "no_rope_layer_interval";
    private static final String TUNING = "attn_temperature_tuning";
    private static final String KINDS = "layer_types";

    /** Scout: queries and keys that turn pass a norm without a gain. */
    public static final Architecture LLAMA4 = new Llama4(HeadNorm.WITHOUT_GAIN);

    /** Maverick, which has no such norm. */
    public static final Architecture LLAMA4_PLAIN = new Llama4(HeadNorm.NONE);

    static final List<Architecture> ALL = List.of(LLAMA4, LLAMA4_PLAIN);

    private Llama4Family() {}

    private static final class Llama4 extends Architecture {
        private final HeadNorm norm;

        Llama4(HeadNorm norm) {
            super(
                    "Llama4ForCausalLM",
                    "llama4_text",
                    new GgufTraits("llama4").withRopelessEvery(4),
                    new ConfigDefaults(131_072, List.of(1), List.of(2)).withKvHeads(8));
            this.norm = norm;
        }

        @Override
        boolean fits(ConfigKeys keys) {
            return keys.flag(HEAD_NORMS, true) == (norm == HeadNorm.WITHOUT_GAIN);
        }

        @Override
        Set<String> ownKeys() {
            return Set.of(HEAD_NORMS, CHUNK, ROPE_LAYERS, INTERVAL);
        }

        @Override
        public List<LinearModule> modules() {
            return Stream.concat(
                            Stream.of(Linear.Q, Linear.K, Linear.V, Linear.O).map(LinearModule::of),
                            LinearModule.MLP.stream()
                                    .map(linear -> new LinearModule(
                                            linear.path().replace("mlp.", "feed_forward."), List.of(linear))))
                    .toList();
        }

        @Override
        public String intermediateKey() {
            return "intermediate_size_mlp";
        }

        @Override
        public boolean turnsNeighbours() {
            return true;
        }

        @Override
        public HeadNorm headNorm() {
            return norm;
        }

        @Override
        public boolean mixesExperts() {
            return true;
        }

        @Override
        public Optional<Experts.Names> expertNames() {
            return Optional.of(Experts.Names.LLAMA4);
        }

        @Override
        Optional<Experts> experts(ConfigKeys keys) {
            return ExpertKeys.llama4(keys);
        }

        @Override
        double theta(String kind) {
            return 500_000;
        }

        /** transformers goes by the kinds of layers, other loaders by their rope: both must say the same. */
        @Override
        List<LayerAttention> attention(ConfigKeys keys, int layers) {
            int chunk = keys.json().has(CHUNK)
                    ? keys.integerIfPresent(CHUNK, 1, Integer.MAX_VALUE).orElse(LayerAttention.NO_WINDOW)
                    : 8192;
            Rope rope = RopeKeys.read(keys, this, LayerAttention.FULL);
            if (rope.scaling() instanceof Rope.Yarn || rope.scaling() instanceof Rope.LongRope) {
                throw new BadCheckpointException(
                        keys.file(), "rope types yarn and longrope are not supported in " + className());
            }
            LayerAttention turned =
                    new LayerAttention(LayerAttention.NO_WINDOW, Optional.of(rope), chunk, Optional.empty());
            LayerAttention whole = new LayerAttention(
                    LayerAttention.NO_WINDOW, Optional.empty(), LayerAttention.NO_WINDOW, temperature(keys));
            boolean[] turns = turns(keys, layers);
            List<LayerAttention> result = new ArrayList<>();
            for (int layer = 0; layer < layers; layer++) {
                result.add(turns[layer] ? turned : whole);
            }
            requireKinds(keys, result);
            return List.copyOf(result);
        }

        private static boolean[] turns(ConfigKeys keys, int layers) {
            List<Integer> stated = keys.integers(ROPE_LAYERS, 0, 1);
            if (!stated.isEmpty() && stated.size() < layers) {
                throw new BadCheckpointException(
                        keys.file(),
                        ROPE_LAYERS + " has " + stated.size() + " entries for " + layers
                                + " layers; take the model's original config.json");
            }
            int interval = keys.integerIfPresent(INTERVAL, 1, Integer.MAX_VALUE).orElse(4);
            boolean[] turns = new boolean[layers];
            for (int layer = 0; layer < layers; layer++) {
                turns[layer] = stated.isEmpty() ? (layer + 1) % interval != 0 : stated.get(layer) == 1;
            }
            return turns;
        }

        /** Published configs have a number in the place of true. */
        private static Optional<AttentionTemperature> temperature(ConfigKeys keys) {
            JsonNode tuning = keys.value(TUNING).orElse(null);
            boolean on = tuning == null || tuning.isInt()
                    ? tuning == null || tuning.intValue() != 0
                    : keys.flag(TUNING, true);
            return on
                    ? Optional.of(new AttentionTemperature(
                            keys.integerIfPresent("floor_scale", 1, Integer.MAX_VALUE)
                                    .orElse(8192),
                            keys.numberIfPresent("attn_scale", 0, 1e6).orElse(0.1)))
                    : Optional.empty();
        }

        private void requireKinds(ConfigKeys keys, List<LayerAttention> layers) {
            JsonNode kinds = keys.value(KINDS).orElse(null);
            if (kinds == null || kinds.isEmpty()) {
                return;
            }
            for (int layer = 0; layer < layers.size(); layer++) {
                String expected = layers.get(layer).hasChunks() ? LayerAttention.CHUNKED : LayerAttention.FULL;
                String stated = kinds.path(layer).asText("none");
                if (!stated.equals(expected)) {
                    throw new BadCheckpointException(
                            keys.file(),
                            KINDS + " says " + stated + " of layer " + layer + ", and " + ROPE_LAYERS + " with " + CHUNK
                                    + " say " + expected + "; loaders would differ. Take the model's original"
                                    + " config.json");
                }
            }
        }
    }
}
