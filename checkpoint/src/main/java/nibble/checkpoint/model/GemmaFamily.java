package nibble.checkpoint.model;

import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import nibble.checkpoint.model.keys.ConfigDefaults;
import nibble.checkpoint.model.layer.Activation;
import nibble.checkpoint.model.layer.HeadNorm;
import nibble.checkpoint.model.layer.LayerAttention;
import nibble.checkpoint.model.layer.LayerNorm;
import nibble.checkpoint.model.layer.Multipliers;
import nibble.checkpoint.source.BadCheckpointException;
import nibble.checkpoint.source.ConfigKeys;

/** Holds Gemma 1 to 3: norms stored less one, embeddings times √hidden, GELU in the MLP, embeddings tied. */
public final class GemmaFamily {
    public static final Architecture GEMMA = new Gemma(
            "GemmaForCausalLM",
            "gemma",
            new GgufTraits("gemma").withTiedEmbeddings(),
            new ConfigDefaults(8192, List.of(2), List.of(1))
                    .withHeadDim(256)
                    .withKvHeads(16)
                    .withTiedEmbeddings());

    /** Norms on both sides of attention and MLP; scores and logits capped; a window in every other layer. */
    public static final Architecture GEMMA2 = new FourNorms(
            "Gemma2ForCausalLM",
            "gemma2",
            new GgufTraits("gemma2")
                    .withTiedEmbeddings()
                    .withAllEvery(2)
                    .withKeys(GgufTraits.SCORE_CAP, GgufTraits.LOGIT_CAP),
            new ConfigDefaults(8192, List.of(2), List.of(1))
                    .withHeadDim(256)
                    .withKvHeads(4)
                    .withTiedEmbeddings(),
            50,
            30,
            46);

    /** Also norms of heads; a window in five layers of six, and rope of another base there. */
    public static final Architecture GEMMA3 =
            new FourNorms(
                    "Gemma3ForCausalLM",
                    "gemma3_text",
                    new GgufTraits("gemma3")
                            .withTiedEmbeddings()
                            .withAllEvery(6)
                            .withKeys(GgufTraits.LOGIT_CAP),
                    new ConfigDefaults(131_072, List.of(2), List.of(1))
                            .withHeadDim(256)
                            .withKvHeads(4)
                            .withTiedEmbeddings(),
                    0,
                    0,
                    62) {
                @Override
                boolean isNamed(String name) {
                    return super.isNamed(name) || name.equals("Gemma3TextModel");
                }

                @Override
                Set<String> ownKeys() {
                    return Set.of(
                            "query_pre_attn_scalar",
                            "attn_logit_softcapping",
                            "final_logit_softcapping",
                            "sliding_window_pattern");
                }

                @Override
                public HeadNorm headNorm() {
                    return HeadNorm.EACH_HEAD;
                }

                @Override
                boolean slides(ConfigKeys keys, int layer) {
                    int pattern = keys.integerIfPresent("sliding_window_pattern", 1, Integer.MAX_VALUE)
                            .orElse(6);
                    return (layer + 1) % pattern != 0;
                }

                @Override
                double theta(String kind) {
                    return kind.equals(LayerAttention.FULL) ? 1e6 : 1e4;
                }

                @Override
                String thetaKey(String kind) {
                    return kind.equals(LayerAttention.FULL) ? "rope_theta" : "rope_local_base_freq";
                }

                @Override
                public boolean ropeDiffers() {
                    return true;
                }
            };

    static final List<Architecture> ALL = List.of(GEMMA, GEMMA2, GEMMA3);

    private GemmaFamily() {}

    private static class Gemma extends Architecture {
        Gemma(String className, String modelType, GgufTraits gguf, ConfigDefaults defaults) {
            super(className, modelType, gguf, defaults);
        }

        @Override
        public float normOffset() {
            return 1f;
        }

        @Override
        Multipliers multipliers(ConfigKeys keys, int hiddenSize, int headDim) {
            return super.multipliers(keys, hiddenSize, headDim).withEmbedding((float) Math.sqrt(hiddenSize));
        }

        @Override
        public Activation activation() {
            return Activation.GELU_TANH;
        }

        @Override
        void requireActivation(ConfigKeys keys) {
            // The published files say "gelu" in hidden_act by mistake. The models are trained with the tanh form, which
            // llama.cpp and vLLM take; transformers 5 takes the word, and its logits differ a little.
            String name = keys.text("hidden_activation")
                    .or(() -> keys.text("hidden_act"))
                    .orElse("gelu_pytorch_tanh");
            if (!name.equals("gelu_pytorch_tanh") && !name.equals("gelu")) {
                throw new BadCheckpointException(
                        keys.file(),
                        "activation \"" + name + "\" is not supported; supported in Gemma: gelu_pytorch_tanh");
            }
        }
    }

    private static class FourNorms extends Gemma {
        private final double scoreCap;
        private final double logitCap;
        private final int largestLayers;

        FourNorms(
                String className,
                String modelType,
                GgufTraits gguf,
                ConfigDefaults defaults,
                double scoreCap,
                double logitCap,
                int largestLayers) {
            super(className, modelType, gguf, defaults);
            this.scoreCap = scoreCap;
            this.logitCap = logitCap;
            this.largestLayers = largestLayers;
        }

        @Override
        Set<String> ownKeys() {
            return Set.of("query_pre_attn_scalar", "attn_logit_softcapping", "final_logit_softcapping");
        }

        @Override
        public Map<LayerNorm, String> norms() {
            return Map.of(
                    LayerNorm.ATTENTION_IN, "input_layernorm",
                    LayerNorm.ATTENTION_OUT, "post_attention_layernorm",
                    LayerNorm.MLP_IN, "pre_feedforward_layernorm",
                    LayerNorm.MLP_OUT, "post_feedforward_layernorm");
        }

        @Override
        Multipliers multipliers(ConfigKeys keys, int hiddenSize, int headDim) {
            double scalar = keys.numberIfPresent("query_pre_attn_scalar", Double.MIN_NORMAL, 1e9)
                    .orElse(256.0);
            return super.multipliers(keys, hiddenSize, headDim)
                    .withScore(1 / Math.sqrt(scalar))
                    .withCaps(
                            cap(keys, "attn_logit_softcapping", scoreCap),
                            cap(keys, "final_logit_softcapping", logitCap));
        }

        /** Returns the factor; llama.cpp knows the 27B models, whose factor differs, by their number of layers. */
        @Override
        public double ggufScore(int layers, int hiddenSize, int heads, int headDim) {
            return layers == largestLayers ? 1 / Math.sqrt(hiddenSize / heads) : 1 / Math.sqrt(headDim);
        }

        /** Null says that there is none. */
        private static double cap(ConfigKeys keys, String key, double otherwise) {
            return keys.json().has(key) ? keys.numberIfPresent(key, 0, 1e9).orElse(0.0) : otherwise;
        }

        @Override
        Optional<Integer> window(ConfigKeys keys) {
            return windowOr(keys, 4096);
        }

        @Override
        boolean slides(ConfigKeys keys, int layer) {
            return layer % 2 == 0;
        }
    }
}
