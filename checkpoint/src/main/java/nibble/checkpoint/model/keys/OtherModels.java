package nibble.checkpoint.model.keys;

import com.fasterxml.jackson.databind.JsonNode;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.Predicate;
import nibble.checkpoint.source.BadCheckpointException;
import nibble.checkpoint.source.ConfigKeys;

/**
 * Lists keys of config.json that change what a model computes and that no architecture has in general. Loaders that do
 * not know one ignore it in silence; here a value that would matter is refused by name.
 */
public final class OtherModels {
    private static final Predicate<JsonNode> OFF = value -> value.isBoolean() && !value.booleanValue();
    private static final Predicate<JsonNode> ON = value -> value.isBoolean() && value.booleanValue();
    private static final Predicate<JsonNode> ONE = value -> value.isNumber() && value.doubleValue() == 1;
    private static final Predicate<JsonNode> ZERO = value -> value.isNumber() && value.doubleValue() == 0;
    private static final Predicate<JsonNode> AT_MOST_ONE = value -> value.isNumber() && value.doubleValue() <= 1;
    private static final Predicate<JsonNode> EMPTY = value -> value.isContainerNode() && value.isEmpty();
    private static final Predicate<JsonNode> NEVER = _ -> false;

    /**
     * Keys that mean one thing.
     *
     * @param neutral the values, beside null, with which a model is what it is without the key
     * @param words the same for a message
     */
    private record Rule(List<String> keys, Predicate<JsonNode> neutral, String words) {}

    private static final List<Rule> RULES = List.of(
            new Rule(
                    List.of(
                            "mlp_bias",
                            "lm_head_bias",
                            "rope_interleaved",
                            "alibi",
                            "qk_layernorm",
                            "use_qk_norm",
                            "use_mrope",
                            "use_bidirectional_attention",
                            "is_encoder_decoder",
                            "parallel_attn",
                            "use_parallel_residual",
                            "apply_residual_connection_post_layernorm"),
                    OFF,
                    "false"),
            new Rule(List.of("is_causal"), ON, "true"),
            new Rule(
                    List.of(
                            "logit_scale",
                            "logits_scaling",
                            "embedding_multiplier",
                            "residual_multiplier",
                            "scale_emb",
                            "rotary_pct",
                            "rope_pct",
                            "lm_head_multiplier"),
                    ONE,
                    "1"),
            new Rule(
                    List.of(
                            "attn_logit_softcapping",
                            "final_logit_softcapping",
                            "attn_logit_softcap",
                            "final_logit_softcap",
                            "clip_qkv",
                            "attention_chunk_size"),
                    ZERO,
                    "none"),
            new Rule(
                    List.of("num_experts", "num_local_experts", "n_routed_experts", "moe_num_experts"),
                    AT_MOST_ONE,
                    "no experts"),
            new Rule(List.of("pruned_heads", "no_rope_layers"), EMPTY, "none"),
            new Rule(
                    List.of(
                            "attention_multiplier",
                            "query_pre_attn_scalar",
                            "scale_depth",
                            "dim_model_base",
                            "rotary_dim",
                            "interleaved_sliding_window",
                            "sliding_window_pattern",
                            "no_rope_layer_interval"),
                    NEVER,
                    "none"));

    /** Quantizations that are not under {@code quantization_config.quant_method}, by the key that tells. */
    private static final Map<String, String> QUANTIZED =
            Map.of("quantization", "MLX", "compression_config", "an early compressed-tensors");

    private OtherModels() {}

    /**
     * Refuses keys that are not read.
     *
     * @param own keys that the architecture reads itself
     * @param experts whether it reads the number of experts
     * @throws BadCheckpointException naming the first key with a value that would matter
     */
    public static void refuse(ConfigKeys keys, Set<String> own, boolean experts) {
        for (Rule rule : RULES) {
            if (rule.neutral() == AT_MOST_ONE && experts) {
                continue;
            }
            for (String key : rule.keys()) {
                if (own.contains(key)) {
                    continue;
                }
                if (rule.neutral() == OFF || rule.neutral() == ON) {
                    keys.flag(key, false);
                }
                keys.value(key).filter(rule.neutral().negate()).ifPresent(value -> {
                    throw new BadCheckpointException(
                            keys.file(),
                            key + " " + ConfigKeys.shown(value) + " is not supported; supported: " + rule.words()
                                    + ". If the model does without it, remove the key");
                });
            }
        }
        QUANTIZED.forEach((key, by) -> keys.value(key)
                .filter(value -> !value.isEmpty())
                .ifPresent(value -> {
                    throw new BadCheckpointException(
                            keys.file(),
                            "key \"" + key + "\" says that the model is quantized by " + by
                                    + ", which cannot be read; use the model's fp16 version");
                }));
    }
}
