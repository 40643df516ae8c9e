package nibble.checkpoint.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.net.URISyntaxException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import nibble.checkpoint.TinyCheckpoint;
import nibble.checkpoint.inspect.ModelShape;
import nibble.checkpoint.model.layer.Rope;
import nibble.checkpoint.model.quantization.QuantizationConfig;
import nibble.checkpoint.model.quantization.QuantizedFormat;
import nibble.checkpoint.source.BadCheckpointException;
import nibble.checkpoint.tensor.DType;
import nibble.checkpoint.tensor.Shape;
import nibble.checkpoint.tensor.TensorSpec;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class ModelConfigTest {
    @TempDir
    Path folder;

    // Parameters: published totals of the models' weights.
    @ParameterizedTest
    @CsvSource({
        "7b, 4096, 11008, 32, 32, 32, 291, 6738415616",
        "13b, 5120, 13824, 40, 40, 40, 363, 13015864320",
        "70b, 8192, 28672, 80, 64, 8, 723, 68976648192"
    })
    void llama_2_has_the_published_shape(
            String size, int hidden, int inner, int layers, int heads, int kvHeads, int tensors, long parameters)
            throws URISyntaxException {
        ModelConfig config = ModelConfig.read(Path.of(ModelConfigTest.class
                .getResource("llama-2-" + size + "-config.json")
                .toURI()));
        assertThat(config.hiddenSize()).isEqualTo(hidden);
        assertThat(config.intermediateSize()).isEqualTo(inner);
        assertThat(config.layers()).isEqualTo(layers);
        assertThat(config.heads()).isEqualTo(heads);
        assertThat(config.kvHeads()).isEqualTo(kvHeads);
        assertThat(config.headDim()).isEqualTo(128);
        assertThat(config.rmsNormEps()).isEqualTo(1e-5);
        assertThat(config.rope()).isEqualTo(new Rope(10_000, new Rope.None()));
        assertThat(config.dtype()).isEqualTo(DType.F16);
        assertThat(config.quantization()).isEmpty();
        assertThat(config.tensors()).hasSize(tensors);
        assertThat(config.tensors().stream()
                        .mapToLong(spec -> spec.shape().elements())
                        .sum())
                .isEqualTo(parameters);
        assertThat(config.spec(Linear.K, 1))
                .isEqualTo(new TensorSpec(
                        "model.layers.1.self_attn.k_proj.weight", DType.F16, Shape.of(kvHeads * 128L, hidden)));
        assertThat(config.spec(Linear.DOWN, 0).shape()).isEqualTo(Shape.of(hidden, inner));
    }

    /** Weights of the published files; of Gemma 3 those of its text model, 27,432,406,640 less its vision's. */
    @ParameterizedTest
    @CsvSource({
        "llama-2-7b, 6738415616",
        "qwen3-8b, 8190735360",
        "smollm3-3b, 3075098624",
        "olmo-3-7b, 7298011136",
        "gemma-2-27b, 27227128320",
        "gemma-3-27b, 27009346304"
    })
    void named_shapes_have_the_weights_of_published_files(String name, long weights) {
        assertThat(ModelShape.named(name).orElseThrow().config().tensors().stream()
                        .mapToLong(spec -> spec.shape().elements())
                        .sum())
                .isEqualTo(weights);
    }

    @Test
    void config_json_of_a_named_shape_has_its_scaling_in_the_order_of_keys() {
        assertThat(ModelShape.named("olmo-3-7b").orElseThrow().configJson().get("rope_scaling"))
                .hasToString("{\"factor\":8.0,\"original_max_position_embeddings\":8192,\"rope_type\":\"yarn\"}");
    }

    @Test
    void tensors_come_in_canonical_order() throws IOException {
        List<String> names = TinyCheckpoint.config(folder).tensors().stream()
                .map(TensorSpec::name)
                .toList();
        String layer = "model.layers.0.";
        assertThat(names.subList(0, 11))
                .containsExactly(
                        "model.embed_tokens.weight",
                        layer + "input_layernorm.weight",
                        layer + "self_attn.q_proj.weight",
                        layer + "self_attn.k_proj.weight",
                        layer + "self_attn.v_proj.weight",
                        layer + "self_attn.o_proj.weight",
                        layer + "post_attention_layernorm.weight",
                        layer + "mlp.gate_proj.weight",
                        layer + "mlp.up_proj.weight",
                        layer + "mlp.down_proj.weight",
                        "model.layers.1.input_layernorm.weight");
        assertThat(names.subList(names.size() - 2, names.size()))
                .containsExactly("model.norm.weight", "lm_head.weight");
        assertThat(TinyCheckpoint.config(folder, json -> json.put("tie_word_embeddings", true))
                        .tensors())
                .hasSize(names.size() - 1);
    }

    @Test
    void todays_keys_say_the_same_as_those_of_2023() throws IOException {
        ModelConfig old = TinyCheckpoint.config(folder, json -> {
            json.put("torch_dtype", "bfloat16").put("rope_theta", 5e5);
            json.putObject("rope_scaling").put("type", "linear").put("factor", 4.0);
        });
        ModelConfig today = TinyCheckpoint.config(folder, json -> {
            json.remove(List.of("torch_dtype", "rope_theta", "rope_scaling"));
            json.put("dtype", "bfloat16");
            json.putObject("rope_parameters")
                    .put("rope_type", "linear")
                    .put("factor", 4.0)
                    .put("rope_theta", 5e5);
        });
        assertThat(today.rope()).isEqualTo(old.rope()).isEqualTo(new Rope(5e5, new Rope.Linear(4)));
        assertThat(today.dtype()).isEqualTo(old.dtype()).isEqualTo(DType.BF16);
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "{\"type\":\"dynamic\",\"factor\":2}|DynamicNtk[factor=2.0]",
                "{\"rope_type\":\"default\"}|None[]",
                "{\"rope_type\":\"llama3\",\"factor\":8.0,\"low_freq_factor\":1.0,\"high_freq_factor\":4.0,"
                        + "\"original_max_position_embeddings\":8192}|Llama3[factor=8.0,"
                        + " lowFreqFactor=1.0, highFreqFactor=4.0, originalMaxPositions=8192]",
                "{\"type\":\"yarn\",\"factor\":4.0,\"original_max_position_embeddings\":32768}|Yarn[factor=4.0,"
                        + " attentionFactor=1.138629436111989, betaFast=32.0, betaSlow=1.0,"
                        + " originalMaxPositions=32768, truncate=true]",
                "{\"rope_type\":\"yarn\",\"factor\":40,\"mscale\":1.0,\"mscale_all_dim\":1.0,\"beta_fast\":16,"
                        + "\"truncate\":false}|Yarn[factor=40.0,"
                        + " attentionFactor=1.0, betaFast=16.0, betaSlow=1.0, originalMaxPositions=128, truncate=false]"
            })
    void rope_scaling_is_read(String scaling, String expected) throws IOException {
        var parsed = new ObjectMapper().readTree(scaling);
        ModelConfig config = TinyCheckpoint.config(folder, json -> json.set("rope_scaling", parsed));
        assertThat(config.rope().scaling()).hasToString(expected);
    }

    @Test
    void absent_and_null_keys_have_the_defaults_of_transformers() throws IOException {
        ModelConfig config = TinyCheckpoint.config(folder, json -> {
            json.remove(List.of(
                    "num_key_value_heads", "rope_theta", "rope_scaling", "torch_dtype", "max_position_embeddings"));
            json.putNull("bos_token_id").putNull("eos_token_id").putNull("head_dim");
        });
        assertThat(config.kvHeads()).isEqualTo(4);
        assertThat(config.headDim()).isEqualTo(8);
        assertThat(config.rope().theta()).isEqualTo(10_000);
        assertThat(config.maxPositions()).isEqualTo(2048);
        assertThat(config.bosId()).isEqualTo(-1);
        assertThat(config.eosIds()).isEmpty();
        assertThat(config.tiedEmbeddings()).isFalse();
    }

    /** What other programs write into the config of a Llama, and what changes nothing. */
    @Test
    void values_that_change_nothing_are_taken() throws IOException {
        ModelConfig config = TinyCheckpoint.config(
                folder,
                json -> json.put("logit_scale", 1.0)
                        .put("embedding_multiplier", 1)
                        .put("is_causal", true)
                        .put("rotary_pct", 1.0)
                        .put("num_local_experts", 1)
                        .put("use_mrope", false)
                        .putNull("attn_logit_softcapping")
                        .putNull("final_logit_softcapping")
                        .putNull("attention_multiplier")
                        .set("pruned_heads", json.objectNode()));
        assertThat(config.layers()).isEqualTo(2);
    }

    @Test
    void rope_scaling_and_rope_parameters_that_differ_are_refused_with_both() {
        assertThatThrownBy(() -> TinyCheckpoint.config(folder, json -> {
                    json.putObject("rope_scaling").put("type", "linear").put("factor", 2.0);
                    json.putObject("rope_parameters").put("rope_type", "linear").put("factor", 4.0);
                }))
                .isInstanceOf(BadCheckpointException.class)
                .hasMessageContainingAll("Linear[factor=2.0]", "Linear[factor=4.0]", "differ");
    }

    @Test
    void absent_ids_are_those_of_llama() throws IOException {
        ModelConfig config =
                TinyCheckpoint.config(folder, json -> json.remove(List.of("bos_token_id", "eos_token_id")));
        assertThat(config.bosId()).isEqualTo(1);
        assertThat(config.eosIds()).containsExactly(2);
    }

    @Test
    void the_carried_config_keeps_every_key_and_is_a_copy() throws IOException {
        ModelConfig config = TinyCheckpoint.config(folder, json -> json.put("something_else", "kept"));
        config.json().removeAll();
        assertThat(config.json().path("something_else").asText()).isEqualTo("kept");
    }

    @Test
    void end_of_text_may_be_several_ids_and_the_head_width_is_free() throws IOException {
        ModelConfig config = TinyCheckpoint.config(folder, json -> {
            json.putArray("eos_token_id").add(3).add(5);
            json.put("head_dim", 16);
        });
        assertThat(config.eosIds()).containsExactly(3, 5);
        assertThat(config.outFeatures(Linear.Q)).isEqualTo(64);
        assertThat(config.inFeatures(Linear.O)).isEqualTo(64);
        assertThat(config.spec(Linear.V, 0).shape()).isEqualTo(Shape.of(32, 32));
    }

    @Test
    void awq_is_read_in_todays_and_in_the_first_keys() throws IOException {
        ModelConfig config = TinyCheckpoint.config(
                folder,
                json -> json.putObject("quantization_config")
                        .put("quant_method", "awq")
                        .put("bits", 4)
                        .put("group_size", 128)
                        .put("zero_point", true)
                        .put("version", "gemm")
                        .putNull("modules_to_not_convert"));
        assertThat(config.quantization())
                .contains(new QuantizationConfig(QuantizedFormat.AWQ_GEMM, 4, 128, false, false));
        Path first = Files.writeString(
                folder.resolve("quant_config.json"),
                "{\"zero_point\":true,\"q_group_size\":-1,\"w_bit\":4,\"version\":\"GEMM\"}");
        assertThat(QuantizationConfig.readAwqFile(first))
                .isEqualTo(new QuantizationConfig(QuantizedFormat.AWQ_GEMM, 4, -1, false, false));
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "{\"quant_method\":\"gptq\",\"bits\":4,\"group_size\":32,\"desc_act\":true}|GPTQ|32|true|true",
                "{\"quant_method\":\"gptq\",\"bits\":4,\"group_size\":-1,\"sym\":false,"
                        + "\"checkpoint_format\":\"gptq_v2\"}|GPTQ_V2|-1|false|false",
                "{\"quant_method\":\"compressed-tensors\",\"format\":\"pack-quantized\","
                    + "\"config_groups\":{\"group_0\":{\"weights\":"
                    + "{\"num_bits\":4,\"type\":\"int\",\"symmetric\":false,\"strategy\":\"group\",\"group_size\":128,"
                    + "\"actorder\":\"group\"}}}}|COMPRESSED_TENSORS|128|false|true",
                "{\"quant_method\":\"compressed-tensors\",\"config_groups\":{\"group_0\":{\"weights\":"
                    + "{\"num_bits\":4,\"strategy\":\"channel\",\"actorder\":\"static\"}}}}|COMPRESSED_TENSORS|-1|true|"
                    + "false",
            })
    void gptq_and_compressed_tensors_are_read(
            String json, QuantizedFormat format, int group, boolean symmetric, boolean ordersColumns)
            throws IOException {
        var parsed = new ObjectMapper().readTree(json);
        assertThat(TinyCheckpoint.config(folder, config -> config.set("quantization_config", parsed))
                        .quantization())
                .contains(new QuantizationConfig(format, 4, group, symmetric, ordersColumns));
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "{\"load_in_4bit\":true,\"bnb_4bit_quant_type\":\"nf4\"}|method \"bitsandbytes\"",
                "{\"quant_method\":\"fp8\",\"weight_block_size\":[128]}|method \"fp8\"",
                "{\"quant_method\":\"hqq\",\"bits\":4,\"group_size\":128}|method \"hqq\"",
                "{\"quant_method\":\"gptq\",\"bits\":3,\"group_size\":128}|GPTQ with 3 bits",
                "{\"quant_method\":\"gptq\",\"bits\":4,\"group_size\":128,\"checkpoint_format\":\"marlin\"}|"
                        + "checkpoint_format"
                        + " \"marlin\"",
                "{\"quant_method\":\"gptq\",\"bits\":4,\"group_size\":128,\"dynamic\":{\"+:.*down.*\":{\"bits\":8}}}|"
                        + "dynamic",
                "{\"quant_method\":\"compressed-tensors\",\"format\":\"float-quantized\",\"config_groups\":{\"a\":{}}}|"
                        + "format"
                        + " \"float-quantized\"",
                "{\"quant_method\":\"compressed-tensors\",\"config_groups\":{\"a\":{},\"b\":{}}}|2 config_groups",
                "{\"bits\":4,\"group_size\":128}|\"quantization_config.quant_method\" is missing",
                "{\"quant_method\":\"awq\",\"bits\":8,\"group_size\":128}|8 bits",
                "{\"quant_method\":\"awq\",\"bits\":4,\"group_size\":128,\"version\":\"gemv\"}|version \"gemv\"",
                "{\"quant_method\":\"awq\",\"bits\":4,\"group_size\":128,\"zero_point\":false}|zero_point false",
                "{\"quant_method\":\"awq\",\"bits\":4,\"group_size\":7}|group size 7",
                "{\"quant_method\":\"awq\",\"bits\":4}|group_size\" is missing",
                "{\"quant_method\":4}|expected a string",
                "[]|expected an object or null"
            })
    void other_quantizations_are_refused_by_name(String quantization, String expected) throws IOException {
        var parsed = new ObjectMapper().readTree(quantization);
        assertThatThrownBy(() -> TinyCheckpoint.config(folder, json -> json.set("quantization_config", parsed)))
                .isInstanceOf(BadCheckpointException.class)
                .hasMessageContaining("config.json: ")
                .hasMessageContaining(expected);
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "architectures|[\"MistralForCausalLM\"]|MistralForCausalLM",
                "architectures|[\"LlamaForSequenceClassification\"]|LlamaForSequenceClassification",
                "architectures|[7]|list of names",
                "architectures|\"LlamaForCausalLM\"|list of names",
                "model_type|\"mistral\"|model_type \"mistral\"",
                "hidden_act|\"gelu\"|hidden_act \"gelu\"",
                "attention_bias|1|expected true or false",
                "rope_interleaved|true|rope_interleaved true",
                "partial_rotary_factor|0.75|partial_rotary_factor 0.75",
                "mlp_bias|\"no\"|expected true or false",
                "hidden_size|0|integer from 1",
                "hidden_size|-4096|integer from 1",
                "hidden_size|4096.5|integer from 1",
                "hidden_size|\"32\"|integer from 1",
                "hidden_size|99999999999999999999999|integer from 1",
                "hidden_size|null|\"hidden_size\" is missing",
                "hidden_size|33|not a multiple of num_attention_heads",
                "num_hidden_layers|2000000000|integer from 1",
                "num_attention_heads|[4]|integer from 1",
                "num_key_value_heads|3|not a multiple",
                "head_dim|7|even head_dim",
                "head_dim|1000000|\"head_dim\" is 1000000",
                "num_attention_heads|65536|not a multiple",
                "vocab_size|1e9|integer from 1",
                "rms_norm_eps|0|number from",
                "rms_norm_eps|\"1e-5\"|number from",
                "rope_theta|-1|number from",
                "rope_scaling|{\"factor\":2}|factor without a rope_type",
                "rope_parameters|{\"full_attention\":{\"rope_type\":\"linear\",\"factor\":8}}|"
                        + "rope_parameters.full_attention"
                        + " is an object",
                "rope_parameters|{\"rope_type\":\"default\",\"partial_rotary_factor\":0.5}|"
                        + "rope_parameters.partial_rotary_factor"
                        + " 0.5",
                "quantization|{\"group_size\":64,\"bits\":4}|quantized by MLX",
                "attention_multiplier|0.0078125|attention_multiplier 0.0078125",
                "logit_scale|0.0625|logit_scale 0.0625",
                "logits_scaling|8|logits_scaling 8",
                "embedding_multiplier|12.0|embedding_multiplier 12.0",
                "residual_multiplier|0.22|residual_multiplier 0.22",
                "attn_logit_softcapping|50.0|attn_logit_softcapping 50.0",
                "final_logit_softcapping|30.0|final_logit_softcapping 30.0",
                "query_pre_attn_scalar|224|query_pre_attn_scalar 224",
                "clip_qkv|8|clip_qkv 8",
                "is_causal|false|is_causal false",
                "use_bidirectional_attention|true|use_bidirectional_attention true",
                "num_local_experts|8|num_local_experts 8",
                "no_rope_layers|[0,1]|no_rope_layers [0,1]",
                "rotary_pct|0.25|rotary_pct 0.25",
                "layer_types|[\"sliding_attention\",\"full_attention\"]|layer_types [full_attention,"
                        + " sliding_attention]",
                "rope_scaling|{\"type\":\"ntk\",\"factor\":2}|rope type \"ntk\"",
                "rope_scaling|{\"type\":\"linear\"}|\"rope_scaling.factor\" is missing",
                "rope_scaling|{\"type\":\"linear\",\"factor\":0.5}|number from",
                "rope_scaling|{\"rope_type\":\"llama3\",\"factor\":8}|low_freq_factor\" is missing",
                "rope_scaling|\"linear\"|expected an object or null",
                "rope_scaling|{\"rope_type\":\"longrope\"}|short_factor\" is missing",
                "torch_dtype|\"int8\"|torch_dtype \"int8\"",
                "eos_token_id|\"2\"|integer from 0",
                "tie_word_embeddings|1|expected true or false"
            })
    void unsupported_or_senseless_values_are_refused_by_name(String key, String value, String expected)
            throws IOException {
        var parsed = new ObjectMapper().readTree(value);
        assertThatThrownBy(() -> TinyCheckpoint.config(folder, json -> json.set(key, parsed)))
                .isInstanceOf(BadCheckpointException.class)
                .hasMessageContaining("config.json: ")
                .hasMessageContaining(expected);
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "{\"a\":1,\"a\":2}|comes twice",
                "[]|expected an object",
                "{|no valid JSON",
                "''|the file is empty",
                "{} x|no valid JSON"
            })
    void texts_that_are_no_json_object_are_refused(String text, String expected) throws IOException {
        Path file = Files.writeString(folder.resolve("config.json"), text);
        assertThatThrownBy(() -> ModelConfig.read(file))
                .isInstanceOf(BadCheckpointException.class)
                .hasMessageContaining(expected);
    }

    @Test
    void deep_nesting_is_refused() throws IOException {
        Path file = Files.writeString(folder.resolve("config.json"), "{\"a\":" + "[".repeat(100_000));
        assertThatThrownBy(() -> ModelConfig.read(file))
                .isInstanceOf(BadCheckpointException.class)
                .hasMessageContaining("nested too deeply");
    }
}
