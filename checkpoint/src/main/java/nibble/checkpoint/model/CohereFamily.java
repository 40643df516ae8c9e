package nibble.checkpoint.model;

import com.fasterxml.jackson.databind.JsonNode;
import java.util.EnumSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import nibble.checkpoint.model.keys.ConfigDefaults;
import nibble.checkpoint.model.layer.HeadNorm;
import nibble.checkpoint.model.layer.LayerAttention;
import nibble.checkpoint.model.layer.LayerNorm;
import nibble.checkpoint.model.layer.Multipliers;
import nibble.checkpoint.source.ConfigKeys;

/** Holds Command R: attention and MLP side by side behind one LayerNorm, rope of neighbours, scaled logits. */
public final class CohereFamily {
    private static final String HEAD_NORMS = "use_qk_norm";
    private static final String PATTERN = "sliding_window_pattern";

    public static final Architecture COHERE = new Parallel("CohereForCausalLM", "cohere", new GgufTraits("command-r"));

    /** Command R+: queries and keys pass a LayerNorm of each head. */
    public static final Architecture COHERE_PLUS =
            new Parallel("CohereForCausalLM", "cohere", new GgufTraits("command-r")) {
                @Override
                boolean fits(ConfigKeys keys) {
                    return keys.flag(HEAD_NORMS, false);
                }

                @Override
                Set<String> ownKeys() {
                    return Set.of("logit_scale", HEAD_NORMS);
                }

                @Override
                public HeadNorm headNorm() {
                    return HeadNorm.CENTERED;
                }
            };

    /** Command R7B: a window in three layers of four; the others go without rope. */
    public static final Architecture COHERE2 =
            new Parallel("Cohere2ForCausalLM", "cohere2", new GgufTraits("cohere2").withAllEvery(4)) {
                @Override
                Set<String> ownKeys() {
                    return Set.of("logit_scale", PATTERN);
                }

                @Override
                Optional<Integer> window(ConfigKeys keys) {
                    return windowOr(keys, 4096);
                }

                @Override
                boolean slides(ConfigKeys keys, int layer) {
                    return (layer + 1)
                                    % keys.integerIfPresent(PATTERN, 1, MOST_LAYERS)
                                            .orElse(4)
                            != 0;
                }

                @Override
                boolean hasRope(ConfigKeys keys, int layer) {
                    JsonNode types =
                            keys.value("layer_types").orElse(keys.json().path("no layer_types"));
                    return types.isEmpty()
                            ? window(keys).isPresent() && slides(keys, layer)
                            : types.path(Math.min(layer, types.size() - 1))
                                    .asText()
                                    .equals(LayerAttention.SLIDING);
                }
            };

    static final List<Architecture> ALL = List.of(COHERE_PLUS, COHERE, COHERE2);

    private CohereFamily() {}

    /** What both have. */
    private static class Parallel extends Architecture {
        Parallel(String className, String modelType, GgufTraits gguf) {
            super(
                    className,
                    modelType,
                    gguf.withTiedEmbeddings().withSquareHeads().withKeys(GgufTraits.LOGITS),
                    new ConfigDefaults(8192, List.of(5), List.of(255_001)).withTiedEmbeddings());
        }

        @Override
        Set<String> ownKeys() {
            return Set.of("logit_scale");
        }

        @Override
        public Map<LayerNorm, String> norms() {
            return Map.of(LayerNorm.ATTENTION_IN, "input_layernorm");
        }

        @Override
        public boolean isParallel() {
            return true;
        }

        @Override
        public boolean centersNorms() {
            return true;
        }

        @Override
        public boolean turnsNeighbours() {
            return true;
        }

        @Override
        public String epsilonKey() {
            return "layer_norm_eps";
        }

        @Override
        Multipliers multipliers(ConfigKeys keys, int hiddenSize, int headDim) {
            return Multipliers.of(headDim)
                    .withLogits(keys.numberIfPresent("logit_scale", Double.MIN_NORMAL, 1e6)
                            .orElse(0.0625));
        }

        @Override
        Set<Linear> biases(ConfigKeys keys) {
            return keys.flag("attention_bias", false)
                    ? EnumSet.of(Linear.Q, Linear.K, Linear.V, Linear.O)
                    : EnumSet.noneOf(Linear.class);
        }

        @Override
        double theta(String kind) {
            return modelType().equals("cohere") ? 500_000 : super.theta(kind);
        }
    }
}
