package nibble.checkpoint.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.nio.file.Path;
import java.util.List;
import java.util.Set;
import nibble.checkpoint.Checkpoint;
import nibble.checkpoint.source.BadCheckpointException;
import nibble.checkpoint.tensor.Shape;
import nibble.checkpoint.tensor.TensorSpec;
import nibble.checkpoint.tensor.TensorView;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class ArchitectureTest {
    private static final Path MODELS = Path.of("src", "test", "resources", "architectures");

    private static ModelConfig config(String json) throws JsonProcessingException {
        ObjectNode config = (ObjectNode) new ObjectMapper().readTree(json);
        // As in the published models of about 7B, unless given.
        for (var size : List.of(
                "hidden_size 4096",
                "intermediate_size 11008",
                "num_hidden_layers 32",
                "num_attention_heads 32",
                "vocab_size 32000")) {
            String[] parts = size.split(" ");
            if (!config.has(parts[0])) {
                config.put(parts[0], Integer.parseInt(parts[1]));
            }
        }
        config.put("rms_norm_eps", 1e-6);
        return ModelConfig.of(Path.of("config.json"), config);
    }

    /**
     * Names and shapes that transformers itself writes, so that nothing is expected that is not there, and nothing left
     * over.
     */
    @ParameterizedTest
    @CsvSource({
        "smollm, llama",
        "llama-bias, llama",
        "mistral, mistral",
        "qwen2, qwen2",
        "qwen3, qwen3",
        "phi3, phi3",
        "gemma, gemma",
        "gemma2, gemma2",
        "gemma3, gemma3_text",
        "smollm3, smollm3",
        "granite, granite",
        "granite4, granitemoehybrid",
        "olmo2, olmo2",
        "olmo3, olmo3",
        "phi4-mini, phi3",
        "llama-yarn, llama",
        "qwen3-window, qwen3",
        "seed-oss, seed_oss",
        "deepseek3, deepseek_v3",
        "cohere, cohere",
        "cohere2, cohere2",
        "cohere-plus, cohere"
    })
    void the_expected_tensors_are_those_of_transformers(String model, String type) {
        try (Checkpoint checkpoint = Checkpoint.open(MODELS.resolve(model))) {
            assertThat(checkpoint.config().architecture().modelType()).isEqualTo(type);
            List<TensorSpec> found = checkpoint.names().stream()
                    .map(name -> checkpoint.stored(name).orElseThrow().spec())
                    .toList();
            assertThat(checkpoint.config().tensors()).containsExactlyInAnyOrderElementsOf(found);
        }
    }

    @Test
    void a_fused_linear_is_the_rows_of_its_module() {
        try (Checkpoint checkpoint = Checkpoint.open(MODELS.resolve("phi3"))) {
            StoredLinear k = checkpoint.config().stored(Linear.K, 1);
            assertThat(k.firstRow()).isEqualTo(32);
            assertThat(k.label()).isEqualTo("model.layers.1.self_attn.qkv_proj[k]");
            TensorView rows = k.rows(checkpoint.tensor(k.weight()));
            assertThat(rows.shape()).isEqualTo(Shape.of(16, 32));
            TensorView whole = checkpoint.tensor("model.layers.1.self_attn.qkv_proj.weight");
            assertThat(rows.data().mismatch(whole.data().asSlice(32 * 32 * 2, 16 * 32 * 2)))
                    .isEqualTo(-1);
        }
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "{\"model_type\":\"mistral\"}|4096",
                "{\"model_type\":\"mistral\",\"sliding_window\":null}|2147483647",
                "{\"model_type\":\"mistral\",\"sliding_window\":512}|512",
                "{\"model_type\":\"llama\",\"sliding_window\":512}|2147483647",
                "{\"model_type\":\"phi3\"}|2147483647",
                "{\"model_type\":\"phi3\",\"sliding_window\":2047}|2047",
                "{\"model_type\":\"qwen2\",\"sliding_window\":4096}|2147483647",
                "{\"model_type\":\"qwen2\",\"sliding_window\":4096,\"use_sliding_window\":true,"
                        + "\"max_window_layers\":32}|2147483647",
                "{\"model_type\":\"qwen3\",\"sliding_window\":4096,\"use_sliding_window\":true,"
                        + "\"max_window_layers\":0}|4096",
                "{\"model_type\":\"mistral\",\"layer_types\":[\"full_attention\",\"full_attention\"]}|2147483647",
            })
    void windows_are_those_of_transformers(String json, int window) throws JsonProcessingException {
        assertThat(config(json).window()).isEqualTo(window);
    }

    /** Each layer's window and base of rope, as transformers' config classes give them. */
    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "{\"model_type\":\"gemma2\",\"num_hidden_layers\":4}|4096@10000 all@10000 4096@10000 all@10000",
                "{\"model_type\":\"gemma3_text\",\"num_hidden_layers\":7,\"sliding_window\":512}|512@10000 512@10000"
                        + " 512@10000 512@10000 512@10000 all@1000000 512@10000",
                "{\"model_type\":\"gemma3_text\",\"num_hidden_layers\":2,\"sliding_window_pattern\":2,"
                        + "\"rope_theta\":5e5,\"rope_local_base_freq\":2e4}|4096@20000"
                        + " all@500000",
                "{\"model_type\":\"olmo3\",\"num_hidden_layers\":4}|4096@500000 4096@500000 4096@500000 all@500000",
                "{\"model_type\":\"smollm3\",\"num_hidden_layers\":5}|all@2000000 all@2000000 all@2000000 all@-"
                        + " all@2000000",
                "{\"model_type\":\"smollm3\",\"num_hidden_layers\":2,\"no_rope_layers\":[0,1],"
                        + "\"use_sliding_window\":true,\"sliding_window\":9}|9@-"
                        + " all@2000000",
                "{\"model_type\":\"qwen2\",\"num_hidden_layers\":3,\"use_sliding_window\":true,\"sliding_window\":64,"
                        + "\"max_window_layers\":2}|all@10000"
                        + " all@10000 64@10000",
                "{\"model_type\":\"granitemoehybrid\",\"num_hidden_layers\":1,\"shared_intermediate_size\":64,"
                        + "\"num_local_experts\":0,\"layer_types\":[\"attention\"]}|all@-",
            })
    void each_layer_attends_as_in_transformers(String json, String expected) throws JsonProcessingException {
        ModelConfig config = config(json);
        assertThat(config.attention().stream()
                        .map(layer -> (layer.hasWindow() ? String.valueOf(layer.window()) : "all") + "@"
                                + layer.rope()
                                        .map(rope -> String.valueOf((int) rope.theta()))
                                        .orElse("-")))
                .containsExactly(expected.split(" "));
    }

    @Test
    void what_a_config_leaves_out_is_what_transformers_assumes() throws JsonProcessingException {
        ModelConfig gemma =
                config("{\"architectures\":[\"GemmaForCausalLM\"],\"hidden_size\":2048,\"num_attention_heads\":8,"
                        + "\"num_key_value_heads\":1,\"hidden_act\":\"gelu\"}");
        assertThat(gemma.tiedEmbeddings()).isTrue();
        assertThat(gemma.headDim()).isEqualTo(256);
        assertThat(gemma.maxPositions()).isEqualTo(8192);
        assertThat(gemma.bosId()).isEqualTo(2);
        assertThat(gemma.embeddingScale()).isEqualTo((float) Math.sqrt(2048));
        ModelConfig qwen = config("{\"model_type\":\"qwen2\"}");
        assertThat(qwen.bosId()).isEqualTo(-1);
        assertThat(qwen.biases()).containsExactlyInAnyOrder(Linear.Q, Linear.K, Linear.V);
        assertThat(config("{\"model_type\":\"qwen3\"}").headDim()).isEqualTo(128);
        assertThat(config("{\"model_type\":\"phi3\"}").eosIds()).containsExactly(32_000);
        assertThat(config("{\"model_type\":\"llama\",\"attention_bias\":true}").biases())
                .isEqualTo(Set.of(Linear.Q, Linear.K, Linear.V, Linear.O));
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "{\"architectures\":[\"DeepseekForCausalLM\"]}|\"DeepseekForCausalLM\" (mixture of experts) is not yet"
                        + " supported",
                "{\"model_type\":\"deepseek_v3\",\"rope_interleave\":false}|rope_interleave false",
                "{\"model_type\":\"deepseek_v3\",\"scoring_func\":\"softmax\"}|scoring_func \"softmax\"",
                "{\"model_type\":\"deepseek_v3\",\"n_routed_experts\":8,\"num_experts_per_tok\":2,\"n_group\":8}|"
                        + "n_group 8, topk_group 4 and num_experts_per_tok 2 of 8 experts do not fit",
                "{\"model_type\":\"cohere2\",\"use_qk_norm\":true}|use_qk_norm true is not supported",
                "{\"architectures\":[\"BloomForCausalLM\"]}|architecture \"BloomForCausalLM\" is not yet supported;"
                        + " supported: LlamaForCausalLM, MistralForCausalLM, SmolLM3ForCausalLM, SeedOssForCausalLM,"
                        + " Qwen2ForCausalLM, Qwen3ForCausalLM, Phi3ForCausalLM, PhiMoEForCausalLM, GemmaForCausalLM",
                "{\"architectures\":[\"LlamaForCausalLM\"],\"model_type\":\"mistral\"}|\"LlamaForCausalLM\" with"
                        + " model_type \"mistral\"",
                "{\"model_type\":\"deepseek\"}|model_type \"deepseek\" is not yet supported",
                "{\"model_type\":\"qwen3\",\"layer_types\":[\"full_attention\",\"sliding_attention\"]}|layer_types"
                        + " [full_attention, sliding_attention] are not supported; supported in Qwen3ForCausalLM:"
                        + " full_attention, as the config has no window",
                "{\"model_type\":\"mistral\",\"layer_types\":\"full_attention\"}|\"layer_types\" is \"full_attention\","
                        + " expected a list of names",
                "{\"model_type\":\"qwen3_moe\",\"mlp_only_layers\":3}|\"mlp_only_layers\" is 3, expected a list of"
                        + " numbers",
                "{\"model_type\":\"mixtral\",\"num_local_experts\":16384,\"num_hidden_layers\":10000}|num_local_experts"
                        + " 16384 in each of 10000 layers; supported: 131072 in all",
                "{\"model_type\":\"qwen3_moe\",\"num_experts\":16384}|num_experts 16384 in each of 32 layers",
                "{\"model_type\":\"qwen2\",\"partial_rotary_factor\":0.75}|partial_rotary_factor 0.75",
                "{\"model_type\":\"phi3\",\"partial_rotary_factor\":0.01}|rope turns 1 values",
                "{\"model_type\":\"gemma3_text\",\"rope_parameters\":{\"rope_type\":\"default\"}}|one object for all"
                        + " layers",
                "{\"model_type\":\"gemma3_text\",\"layer_types\":[\"full_attention\",\"sliding_attention\"]}|2 entries"
                        + " for 32 layers",
                "{\"model_type\":\"gemma2\",\"layer_types\":[\"chunked_attention\"]}|full_attention and"
                        + " sliding_attention",
                "{\"model_type\":\"smollm3\",\"no_rope_layers\":[1,0]}|one number a layer",
                "{\"model_type\":\"granitemoehybrid\",\"shared_intermediate_size\":64,\"num_local_experts\":8}|"
                        + "num_local_experts",
                "{\"model_type\":\"granitemoehybrid\",\"shared_intermediate_size\":64,\"num_local_experts\":0,"
                        + "\"layer_types\":[\"mamba\"]}|[mamba]",
                "{\"model_type\":\"phi3\",\"rope_scaling\":{\"type\":\"longrope\",\"short_factor\":[1],"
                        + "\"long_factor\":[1]}}|1"
                        + " short and 1 long factors, expected 64",
                "{\"model_type\":\"phi3\",\"rope_scaling\":{\"type\":\"su\"}}|short_factor\" is missing",
                "{\"model_type\":\"gemma\",\"hidden_activation\":\"relu\"}|activation \"relu\"",
                "{\"model_type\":\"deepseek_v2\",\"num_key_value_heads\":1}|num_key_value_heads 1 is not"
                        + " num_attention_heads",
                "{\"model_type\":\"deepseek_v2\",\"v_head_dim\":256}|values no wider",
                "{\"model_type\":\"deepseek_v2\",\"num_experts_per_tok\":6,\"norm_topk_prob\":true}|norm_topk_prob"
                        + " true is not supported; supported: false",
                "{\"model_type\":\"deepseek_v2\",\"num_experts_per_tok\":6,\"topk_method\":\"noaux_tc\"}|topk_method"
                        + " \"noaux_tc\" is not supported",
                "{\"model_type\":\"deepseek_v2\",\"num_experts_per_tok\":6,\"topk_method\":\"group_limited_greedy\","
                        + "\"n_group\":7,\"topk_group\":2}|do not fit together",
                "{\"model_type\":\"llama4_text\",\"intermediate_size_mlp\":64,\"moe_layers\":[1]}|moe_layers [1] are"
                        + " not the layers of interleave_moe_layer_step 1",
                "{\"model_type\":\"llama4_text\",\"intermediate_size_mlp\":64,\"attention_chunk_size\":null,"
                        + "\"layer_types\":[\"chunked_attention\"]}|layer_types says chunked_attention of layer 0",
                "{\"model_type\":\"llama4_text\",\"intermediate_size_mlp\":64,\"no_rope_layers\":[1]}|"
                        + "no_rope_layers has 1 entries for",
                "{\"model_type\":\"llama4_text\",\"intermediate_size_mlp\":64,\"rope_scaling\":{\"rope_type\":"
                        + "\"yarn\",\"factor\":4}}|rope types yarn and longrope",
                "{\"model_type\":\"mistral\",\"sliding_window\":0}|\"sliding_window\" is 0",
            })
    void what_is_not_supported_is_refused_by_name(String json, String expected) {
        assertThatThrownBy(() -> config(json))
                .isInstanceOf(BadCheckpointException.class)
                .hasMessageContaining(expected);
    }
}
