package nibble.checkpoint.model;

import java.util.EnumSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import nibble.checkpoint.model.keys.ConfigDefaults;
import nibble.checkpoint.model.layer.LatentAttention;
import nibble.checkpoint.model.layer.LayerNorm;
import nibble.checkpoint.model.layer.Multipliers;
import nibble.checkpoint.source.BadCheckpointException;
import nibble.checkpoint.source.ConfigKeys;

/** Holds DeepSeek: keys and values from a narrow vector, shared experts, the first layers without experts. */
public final class DeepseekFamily {
    private static final int MOST_WIDTH = 1 << 16;

    private static final Map<LayerNorm, String> NORMS = Map.of(
            LayerNorm.ATTENTION_IN, "input_layernorm",
            LayerNorm.QUERY_LATENT, "self_attn.q_a_layernorm",
            LayerNorm.KEY_VALUE_LATENT, "self_attn.kv_a_layernorm",
            LayerNorm.MLP_IN, "post_attention_layernorm");

    /** DeepSeek-V2 and V2-Lite: experts chosen by softmax, perhaps from the best groups only. */
    public static final Architecture DEEPSEEK2 =
            new Latent("DeepseekV2ForCausalLM", "deepseek_v2", new ConfigDefaults(2048, List.of(1), List.of(2))) {
                @Override
                Optional<Experts> experts(ConfigKeys keys) {
                    return ExpertKeys.deepseek2(keys);
                }

                @Override
                public Map<String, Object> assumedKeys() {
                    return Map.of("n_group", 1, "topk_group", 1);
                }
            };

    /**
     * DeepSeek-V3, and Moonlight and Kimi-K2 of the same class: experts chosen by sigmoids with a bias. Behind the
     * decoder's layers, files may have some that predict further tokens.
     */
    public static final Architecture DEEPSEEK3 =
            new Latent("DeepseekV3ForCausalLM", "deepseek_v3", new ConfigDefaults(4096, List.of(0), List.of(1))) {
                @Override
                boolean isType(String name) {
                    return super.isType(name) || name.equals("kimi_k2");
                }

                @Override
                Optional<LatentAttention> latent(ConfigKeys keys) {
                    if (!keys.flag("rope_interleave", true)) {
                        throw new BadCheckpointException(
                                keys.file(), "rope_interleave false is not supported; supported: true");
                    }
                    return super.latent(keys);
                }

                @Override
                Optional<Experts> experts(ConfigKeys keys) {
                    return ExpertKeys.deepseek3(keys);
                }

                @Override
                public boolean correctsChoice() {
                    return true;
                }

                @Override
                public Map<String, Object> assumedKeys() {
                    return Map.of(ExpertKeys.SCORES, ExpertKeys.SIGMOID, ExpertKeys.METHOD, ExpertKeys.CORRECTED);
                }

                @Override
                public Optional<String> furtherLayersKey() {
                    return Optional.of("num_nextn_predict_layers");
                }
            };

    static final List<Architecture> ALL = List.of(DEEPSEEK2, DEEPSEEK3);

    /** What both versions have. */
    private abstract static class Latent extends Architecture {
        Latent(String className, String modelType, ConfigDefaults defaults) {
            super(className, modelType, new GgufTraits("deepseek2"), defaults);
        }

        @Override
        Optional<LatentAttention> latent(ConfigKeys keys) {
            return Optional.of(DeepseekFamily.latent(keys));
        }

        @Override
        public Map<LayerNorm, String> norms() {
            return NORMS;
        }

        @Override
        Multipliers multipliers(ConfigKeys keys, int hiddenSize, int headDim) {
            double stretch = stretch(keys);
            return Multipliers.of(headDim).withScore(stretch * stretch / Math.sqrt(headDim));
        }

        @Override
        Set<Linear> biases(ConfigKeys keys) {
            return keys.flag("attention_bias", false)
                    ? EnumSet.of(Linear.Q_A, Linear.KV_A, Linear.O)
                    : EnumSet.noneOf(Linear.class);
        }

        @Override
        public boolean mixesExperts() {
            return true;
        }

        @Override
        public Optional<Experts.Names> expertNames() {
            return Optional.of(Experts.Names.DEEPSEEK);
        }
    }

    private DeepseekFamily() {}

    /** What a config says of the narrow vectors, with transformers' defaults. */
    private static LatentAttention latent(ConfigKeys keys) {
        // Null says that queries come from the residual stream.
        int queryRank = keys.json().has("q_lora_rank")
                ? keys.integerIfPresent("q_lora_rank", 1, MOST_WIDTH).orElse(0)
                : 1536;
        LatentAttention latent = new LatentAttention(
                queryRank,
                width(keys, "kv_lora_rank", 512),
                width(keys, "qk_nope_head_dim", 128),
                width(keys, "qk_rope_head_dim", 64),
                width(keys, "v_head_dim", 128));
        if (latent.turned() % 2 != 0 || latent.value() > latent.headDim()) {
            throw new BadCheckpointException(
                    keys.file(),
                    "heads of " + latent.plain() + " and " + latent.turned() + " values that turn, and of "
                            + latent.value() + " values; supported: an even number that turns, and values no wider"
                            + " than keys");
        }
        int heads = keys.integer("num_attention_heads", 1, MOST_WIDTH);
        int kvHeads =
                keys.integerIfPresent("num_key_value_heads", 1, MOST_WIDTH).orElse(heads);
        if (kvHeads != heads) {
            throw new BadCheckpointException(
                    keys.file(),
                    "num_key_value_heads " + kvHeads + " is not num_attention_heads " + heads
                            + ", and each head has a key and a value of its own; take the model's original"
                            + " config.json");
        }
        return latent;
    }

    private static int width(ConfigKeys keys, String key, int otherwise) {
        return keys.integerIfPresent(key, 1, MOST_WIDTH).orElse(otherwise);
    }

    /** What yarn multiplies queries and keys by, in all of their values: its square is a factor of scores. */
    private static double stretch(ConfigKeys keys) {
        for (String key : List.of("rope_parameters", "rope_scaling")) {
            Optional<ConfigKeys> rope = keys.object(key)
                    .filter(object -> !object.isEmpty())
                    .map(object -> new ConfigKeys(keys.file(), object, key + "."));
            if (rope.isPresent()) {
                String type = rope.get()
                        .text("rope_type")
                        .or(() -> rope.get().text("type"))
                        .orElse("default");
                if (type.equals("default")) {
                    return 1;
                }
                double share =
                        rope.get().numberIfPresent("mscale_all_dim", 0, 1e6).orElse(0.0);
                double factor = rope.get().numberIfPresent("factor", 1, 1e6).orElse(1.0);
                return RopeKeys.attentionScale(factor, share);
            }
        }
        return 1;
    }
}
