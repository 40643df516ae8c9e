package nibble.checkpoint.inspect;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.SerializationFeature;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import nibble.checkpoint.model.ModelConfig;

/**
 * Holds the extents of a model, for what needs no weights: plans, and measurements on random ones.
 *
 * @param name as on the command line
 * @param intermediateSize width of the MLP
 * @param positions the model is made for
 * @param differences keys of config.json that tell the model from a Llama
 */
public record ModelShape(
        String name,
        int hiddenSize,
        int intermediateSize,
        int layers,
        int heads,
        int kvHeads,
        int vocabularySize,
        int positions,
        Map<String, Object> differences) {

    /** In the order of keys, whatever order a map has. */
    private static final ObjectMapper JSON = new ObjectMapper().enable(SerializationFeature.ORDER_MAP_ENTRIES_BY_KEYS);

    private static final String CLASS = "architectures";
    private static final String TYPE = "model_type";

    /** As published: config.json of each. And a small one for trying things out. */
    private static final List<ModelShape> NAMED = List.of(
            new ModelShape("llama-2-7b", 4096, 11008, 32, 32, 32, 32_000, 4096),
            new ModelShape("llama-2-13b", 5120, 13824, 40, 40, 40, 32_000, 4096),
            new ModelShape("llama-2-70b", 8192, 28672, 80, 64, 8, 32_000, 4096),
            new ModelShape("tiny", 128, 384, 4, 4, 2, 4096, 512),
            new ModelShape("qwen3-8b", 4096, 12288, 36, 32, 8, 151_936, 40_960)
                    .of("Qwen3ForCausalLM", "qwen3")
                    .with("head_dim", 128)
                    .with("rms_norm_eps", 1e-6)
                    .with("rope_theta", 1e6),
            new ModelShape("smollm3-3b", 2048, 11008, 36, 16, 4, 128_256, 65_536)
                    .of("SmolLM3ForCausalLM", "smollm3")
                    .with("tie_word_embeddings", true)
                    .with("rope_theta", 5e6)
                    .with("rms_norm_eps", 1e-6),
            new ModelShape("olmo-3-7b", 4096, 11008, 32, 32, 32, 100_278, 65_536)
                    .of("Olmo3ForCausalLM", "olmo3")
                    .with("sliding_window", 4096)
                    .with("rope_theta", 5e5)
                    .with(
                            "rope_scaling",
                            Map.of("rope_type", "yarn", "factor", 8.0, "original_max_position_embeddings", 8192))
                    .with("rms_norm_eps", 1e-6),
            new ModelShape("gemma-2-27b", 4608, 36864, 46, 32, 16, 256_000, 8192)
                    .of("Gemma2ForCausalLM", "gemma2")
                    .with("head_dim", 128)
                    .with("query_pre_attn_scalar", 144)
                    .with("hidden_activation", "gelu_pytorch_tanh")
                    .with("sliding_window", 4096)
                    .with("tie_word_embeddings", true)
                    .with("rms_norm_eps", 1e-6),
            new ModelShape("gemma-3-27b", 5376, 21504, 62, 32, 16, 262_208, 131_072)
                    .of("Gemma3ForCausalLM", "gemma3_text")
                    .with("head_dim", 128)
                    .with("query_pre_attn_scalar", 168)
                    .with("hidden_activation", "gelu_pytorch_tanh")
                    .with("sliding_window", 1024)
                    .with("tie_word_embeddings", true)
                    .with("rms_norm_eps", 1e-6)
                    .with("rope_theta", 1e6)
                    .with("rope_scaling", Map.of("rope_type", "linear", "factor", 8.0)),
            new ModelShape("command-r7b", 4096, 14336, 32, 32, 8, 256_000, 132_096)
                    .of("Cohere2ForCausalLM", "cohere2")
                    .with("layer_norm_eps", 1e-5)
                    .with("logit_scale", 0.25)
                    .with("sliding_window", 4096)
                    .with("tie_word_embeddings", true)
                    .with("rope_theta", 50_000),
            new ModelShape("mixtral-8x7b", 4096, 14336, 32, 32, 8, 32_000, 32_768)
                    .of("MixtralForCausalLM", "mixtral")
                    .with("num_local_experts", 8)
                    .with("num_experts_per_tok", 2)
                    .with("rope_theta", 1e6),
            new ModelShape("llama-4-scout", 5120, 8192, 48, 40, 8, 202_048, 10_485_760)
                    .of("Llama4ForCausalLM", "llama4_text")
                    .with("intermediate_size_mlp", 16_384)
                    .with("head_dim", 128)
                    .with("num_local_experts", 16)
                    .with("num_experts_per_tok", 1)
                    .with("interleave_moe_layer_step", 1)
                    .with("use_qk_norm", true)
                    .with(
                            "rope_scaling",
                            Map.of(
                                    "rope_type",
                                    "llama3",
                                    "factor",
                                    16.0,
                                    "low_freq_factor",
                                    1.0,
                                    "high_freq_factor",
                                    1.0,
                                    "original_max_position_embeddings",
                                    8192))
                    .with("rope_theta", 500_000),
            new ModelShape("phi-3.5-moe", 4096, 6400, 32, 32, 8, 32_064, 131_072)
                    .of("PhiMoEForCausalLM", "phimoe")
                    .with("attention_bias", true)
                    .with("lm_head_bias", true)
                    .with("num_local_experts", 16)
                    .with("num_experts_per_tok", 2)
                    .with("rope_theta", 10_000)
                    .with("sliding_window", 131_072),
            new ModelShape("gpt-oss-20b", 2880, 2880, 24, 64, 8, 201_088, 131_072)
                    .of("GptOssForCausalLM", "gpt_oss")
                    .with("head_dim", 64)
                    .with("num_local_experts", 32)
                    .with("num_experts_per_tok", 4)
                    .with("sliding_window", 128)
                    .with("rope_theta", 150_000)
                    .with(
                            "rope_scaling",
                            Map.of(
                                    "rope_type",
                                    "yarn",
                                    "factor",
                                    32.0,
                                    "original_max_position_embeddings",
                                    4096,
                                    "truncate",
                                    false)),
            deepseek("deepseek-v2", 5120, 12288, 60, 102_400, 0.707)
                    .of("DeepseekV2ForCausalLM", "deepseek_v2")
                    .with("n_routed_experts", 160)
                    .with("n_shared_experts", 2)
                    .with("num_experts_per_tok", 6)
                    .with("moe_intermediate_size", 1536)
                    .with("first_k_dense_replace", 1)
                    .with("topk_method", "group_limited_greedy")
                    .with("topk_group", 3)
                    .with("norm_topk_prob", false)
                    .with("routed_scaling_factor", 16.0),
            deepseek("deepseek-v3", 7168, 18432, 61, 129_280, 1.0)
                    .of("DeepseekV3ForCausalLM", "deepseek_v3")
                    .with("n_routed_experts", 256)
                    .with("n_shared_experts", 1)
                    .with("num_experts_per_tok", 8)
                    .with("moe_intermediate_size", 2048)
                    .with("first_k_dense_replace", 3)
                    .with("topk_group", 4)
                    .with("norm_topk_prob", true)
                    .with("routed_scaling_factor", 2.5),
            new ModelShape("qwen3-30b-a3b", 2048, 6144, 48, 32, 4, 151_936, 40_960)
                    .of("Qwen3MoeForCausalLM", "qwen3_moe")
                    .with("head_dim", 128)
                    .with("num_experts", 128)
                    .with("num_experts_per_tok", 8)
                    .with("moe_intermediate_size", 768)
                    .with("norm_topk_prob", true)
                    .with("rms_norm_eps", 1e-6)
                    .with("rope_theta", 1e6));

    /** Makes what both of DeepSeek's large models have, with the scale of rope's cosines and sines. */
    private static ModelShape deepseek(
            String name, int hiddenSize, int intermediateSize, int layers, int vocabularySize, double scale) {
        return new ModelShape(name, hiddenSize, intermediateSize, layers, 128, 128, vocabularySize, 163_840)
                .with("q_lora_rank", 1536)
                .with("kv_lora_rank", 512)
                .with("qk_nope_head_dim", 128)
                .with("qk_rope_head_dim", 64)
                .with("v_head_dim", 128)
                .with("n_group", 8)
                .with("rms_norm_eps", 1e-6)
                .with("rope_theta", 10_000)
                .with(
                        "rope_scaling",
                        Map.of(
                                "rope_type",
                                "yarn",
                                "factor",
                                40.0,
                                "original_max_position_embeddings",
                                4096,
                                "beta_fast",
                                32,
                                "beta_slow",
                                1,
                                "mscale",
                                scale,
                                "mscale_all_dim",
                                scale));
    }

    /** Makes the shape of a Llama. */
    public ModelShape(
            String name,
            int hiddenSize,
            int intermediateSize,
            int layers,
            int heads,
            int kvHeads,
            int vocabularySize,
            int positions) {
        this(name, hiddenSize, intermediateSize, layers, heads, kvHeads, vocabularySize, positions, Map.of());
    }

    public ModelShape {
        differences = Map.copyOf(differences);
    }

    public static List<String> names() {
        return NAMED.stream().map(ModelShape::name).toList();
    }

    /** Returns the shape of this name; none if it is not known. */
    public static Optional<ModelShape> named(String name) {
        return NAMED.stream().filter(shape -> shape.name.equals(name)).findFirst();
    }

    private ModelShape of(String modelClass, String type) {
        return with(CLASS, modelClass).with(TYPE, type);
    }

    private ModelShape with(String key, Object value) {
        Map<String, Object> more = new HashMap<>(differences);
        more.put(key, value);
        return new ModelShape(
                name, hiddenSize, intermediateSize, layers, heads, kvHeads, vocabularySize, positions, more);
    }

    /** Returns the same with another number of decoder layers. */
    public ModelShape withLayers(int number) {
        return new ModelShape(
                name, hiddenSize, intermediateSize, number, heads, kvHeads, vocabularySize, positions, differences);
    }

    /** Returns the config.json of a model of this shape, with the keys of 2023. */
    public ObjectNode configJson() {
        ObjectNode json = JSON.createObjectNode();
        json.putArray(CLASS).add("LlamaForCausalLM");
        json.put("bos_token_id", 1)
                .put("eos_token_id", 2)
                .put("hidden_act", "silu")
                .put("hidden_size", hiddenSize)
                .put("initializer_range", 0.02)
                .put("intermediate_size", intermediateSize)
                .put("max_position_embeddings", positions)
                .put(TYPE, "llama")
                .put("num_attention_heads", heads)
                .put("num_hidden_layers", layers)
                .put("num_key_value_heads", kvHeads)
                .put("pretraining_tp", 1)
                .put("rms_norm_eps", 1e-5)
                .putNull("rope_scaling")
                .put("tie_word_embeddings", false)
                .put("torch_dtype", "float16")
                .put("use_cache", true)
                .put("vocab_size", vocabularySize);
        new TreeMap<>(differences).forEach((key, value) -> {
            if (key.equals(CLASS)) {
                json.putArray(CLASS).add(String.valueOf(value));
            } else {
                json.set(key, JSON.valueToTree(value));
            }
        });
        return json;
    }

    /** Returns the config of a model of this shape. */
    public ModelConfig config() {
        return ModelConfig.of(Path.of(name), configJson());
    }
}
