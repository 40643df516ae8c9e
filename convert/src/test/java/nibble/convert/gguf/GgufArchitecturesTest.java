package nibble.convert.gguf;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import nibble.checkpoint.Checkpoint;
import nibble.checkpoint.gguf.GgufFile;
import nibble.checkpoint.gguf.GgufType;
import nibble.checkpoint.tensor.TensorSpec;
import nibble.pack.WeightReader;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/**
 * GGUF files of every architecture. src/test/scripts/gguf_architectures.py compares the same files by the gguf package.
 */
class GgufArchitecturesTest {
    private static final Path MODELS =
            Path.of(System.getProperty("nibble.root", "..")).resolve("checkpoint/src/test/resources/architectures");
    private static final String SEVEN =
            "attn_norm.weight ffn_norm.weight attn_q.weight attn_k.weight attn_v.weight attn_output.weight"
                    + " ffn_gate.weight ffn_up.weight ffn_down.weight ";

    @TempDir
    @SuppressWarnings("NullAway.Init")
    private Path temp;

    /**
     * A gain is 1 + w in fp32, as transformers computes it ({@code 1.0 + weight.float()}) and as llama.cpp's converter
     * does for bf16 and fp32 weights. For fp16 weights that converter adds in fp16 and loses up to 4.9e-4 of a gain:
     * 121 of the 160 gains of this model differ from ours by that.
     */
    @Test
    void gemmas_norms_are_sums_in_fp32() throws IOException {
        Path file = export("gemma", GgufMix.F16);
        int inHalf = 0;
        try (Arena arena = Arena.ofConfined();
                Checkpoint source = Checkpoint.open(MODELS.resolve("gemma"))) {
            var tensors = GgufFile.open(file, arena).tensors();
            for (var pair : java.util.Map.of(
                            "output_norm.weight", "model.norm.weight",
                            "blk.0.attn_norm.weight", "model.layers.0.input_layernorm.weight",
                            "blk.0.ffn_norm.weight", "model.layers.0.post_attention_layernorm.weight",
                            "blk.1.attn_norm.weight", "model.layers.1.input_layernorm.weight",
                            "blk.1.ffn_norm.weight", "model.layers.1.post_attention_layernorm.weight")
                    .entrySet()) {
                float[] weights = WeightReader.floats(source.tensor(pair.getValue()), file);
                for (int i = 0; i < weights.length; i++) {
                    float gain = tensors.get(pair.getKey())
                            .data()
                            .get(java.lang.foreign.ValueLayout.JAVA_FLOAT_UNALIGNED, 4L * i);
                    assertThat(gain).isEqualTo(1 + weights[i]);
                    inHalf += gain == nibble.pack.Half.round(1 + weights[i]) ? 0 : 1;
                }
            }
        }
        assertThat(inHalf).as("gains that fp16 would round").isEqualTo(121);
    }

    private Path changed(
            String name, java.util.function.Consumer<com.fasterxml.jackson.databind.node.ObjectNode> change)
            throws IOException {
        Path model = Files.createDirectories(temp.resolve("changed"));
        var json = (com.fasterxml.jackson.databind.node.ObjectNode) new com.fasterxml.jackson.databind.ObjectMapper()
                .readTree(MODELS.resolve(name).resolve("config.json").toFile());
        change.accept(json);
        Files.writeString(model.resolve("config.json"), json.toString());
        Files.copy(MODELS.resolve(name).resolve("model.safetensors"), model.resolve("model.safetensors"));
        Files.copy(MODELS.resolve("tokenizer.json"), model.resolve("tokenizer.json"));
        return model;
    }

    /** llama.cpp reads rope_freqs for its "llama" only, and would compute something else without a word. */
    @Test
    void what_llama_cpp_would_not_compute_is_refused_before_anything_is_written() throws IOException {
        Path model = changed("qwen3", config -> {
            config.remove("rope_parameters");
            config.putObject("rope_scaling")
                    .put("rope_type", "llama3")
                    .put("factor", 8.0)
                    .put("low_freq_factor", 1.0)
                    .put("high_freq_factor", 4.0)
                    .put("original_max_position_embeddings", 16);
        });
        Path out = temp.resolve("refused");
        try (Checkpoint source = Checkpoint.open(model)) {
            assertThatThrownBy(() -> GgufExporter.export(source, out, GgufMix.F16, 1, _ -> {}))
                    .isInstanceOf(nibble.checkpoint.source.BadCheckpointException.class)
                    .hasMessageContainingAll("llama3", "for \"llama\" only", "Qwen3ForCausalLM");
        }
        assertThat(out).doesNotExist();
    }

    private Path export(String name, GgufMix mix) throws IOException {
        Path model = Files.createDirectory(temp.resolve(name));
        for (String file : List.of("config.json", "model.safetensors")) {
            Files.copy(MODELS.resolve(name).resolve(file), model.resolve(file));
        }
        Files.copy(MODELS.resolve("tokenizer.json"), model.resolve("tokenizer.json"));
        Path out = temp.resolve("out");
        try (Checkpoint source = Checkpoint.open(model)) {
            GgufExporter.export(source, out, mix, 2, _ -> {});
        }
        return out.resolve(name + "-" + mix + ".gguf");
    }

    /** The lists are the gguf package's for the architecture. */
    @ParameterizedTest
    @CsvSource({
        "smollm, llama, ''",
        "llama-bias, llama, attn_q.bias attn_k.bias attn_v.bias attn_output.bias",
        "mistral, llama, ''",
        "qwen2, qwen2, attn_q.bias attn_k.bias attn_v.bias",
        "qwen3, qwen3, attn_q_norm.weight attn_k_norm.weight",
        "phi3, phi3, attn_norm.weight ffn_norm.weight attn_qkv.weight attn_output.weight ffn_up.weight ffn_down.weight",
        "gemma, gemma, ''"
    })
    void names_are_llama_cpps_and_read_back_as_the_same_numbers(String name, String readAs, String inLayer)
            throws IOException {
        Path file = export(name, GgufMix.F16);
        Set<String> expected = new TreeSet<>(Set.of("token_embd.weight", "output_norm.weight"));
        for (int layer = 0; layer < 2; layer++) {
            for (String tensor :
                    ((name.equals("phi3") ? "" : SEVEN) + inLayer).trim().split(" ")) {
                expected.add("blk." + layer + "." + tensor);
            }
        }
        try (Arena arena = Arena.ofConfined()) {
            Set<String> found =
                    new TreeSet<>(GgufFile.open(file, arena).tensors().keySet());
            found.remove("output.weight");
            assertThat(found).isEqualTo(expected);
        }
        try (Checkpoint source = Checkpoint.open(MODELS.resolve(name));
                Checkpoint read = Checkpoint.open(file)) {
            assertThat(read.config().architecture().modelType()).isEqualTo(readAs);
            assertThat(read.config().biases()).isEqualTo(source.config().biases());
            assertThat(read.config().headDim()).isEqualTo(source.config().headDim());
            assertThat(read.config().rope()).isEqualTo(source.config().rope());
            for (TensorSpec spec : source.config().tensors()) {
                assertThat(WeightReader.floats(read.tensor(spec.name()), file))
                        .as(spec.name())
                        .isEqualTo(WeightReader.floats(source.tensor(spec.name()), file));
            }
            // llama.cpp's llama has no window; the file says only as much context as needs none.
            assertThat(Math.min(read.config().maxPositions(), read.config().window()))
                    .isEqualTo(Math.min(
                            source.config().maxPositions(), source.config().window()));
        }
    }

    /**
     * What a config says comes back from a file: windows, bases and scaling of rope, factors, caps. The tensors and
     * keys of such files are equal to those of llama.cpp's converter, by convert/src/test/scripts/gguf_converter.py.
     */
    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "gemma2|{\"query_pre_attn_scalar\":16}|gemma2",
                "gemma3|{\"query_pre_attn_scalar\":16}|gemma3_text",
                "smollm3|{\"no_rope_layers\":[1,1]}|smollm3",
                "granite|{}|granite",
                "granite4|{}|granite",
                "olmo2|{}|olmo2",
                "olmo3|{\"rope_parameters\":{\"sliding_attention\":{\"rope_type\":\"default\",\"rope_theta\":10000},"
                        + "\"full_attention\":{\"rope_type\":\"yarn\",\"rope_theta\":10000,\"factor\":4,"
                        + "\"original_max_position_embeddings\":32}}}|olmo3",
                "phi4-mini|{}|phi3",
                "cohere-plus|{}|cohere",
                "llama-yarn|{\"rope_parameters\":{\"rope_type\":\"yarn\",\"rope_theta\":10000,\"factor\":8,"
                        + "\"original_max_position_embeddings\":64,\"beta_fast\":16}}|llama",
            })
    void what_a_config_says_comes_back(String name, String changes, String readAs) throws IOException {
        var json = (com.fasterxml.jackson.databind.node.ObjectNode)
                new com.fasterxml.jackson.databind.ObjectMapper().readTree(changes);
        Path model = changed(name, config -> config.setAll(json));
        Path out = temp.resolve("back");
        try (Checkpoint source = Checkpoint.open(model)) {
            GgufExporter.export(source, out, GgufMix.F16, 2, _ -> {});
            try (Checkpoint read = Checkpoint.open(out.resolve("changed-F16.gguf"))) {
                assertThat(read.config().architecture().modelType()).isEqualTo(readAs);
                assertThat(read.config().attention().toString())
                        .isEqualTo(source.config().attention().toString());
                assertThat(read.config().multipliers())
                        .isEqualTo(source.config().multipliers());
                assertThat(read.config().biases()).isEqualTo(source.config().biases());
                assertThat(read.config().maxPositions())
                        .isEqualTo(source.config().maxPositions());
                for (int layer = 0; layer < source.config().layers(); layer++) {
                    for (nibble.checkpoint.model.Linear linear : nibble.checkpoint.model.Linear.SEVEN) {
                        assertThat(rows(read, linear, layer)).isEqualTo(rows(source, linear, layer));
                    }
                    for (nibble.checkpoint.model.layer.LayerNorm norm :
                            nibble.checkpoint.model.layer.LayerNorm.values()) {
                        if (source.config().norm(norm, layer).isPresent()) {
                            assertThat(vector(
                                            read,
                                            read.config().norm(norm, layer).orElseThrow()))
                                    .isEqualTo(vector(
                                            source,
                                            source.config().norm(norm, layer).orElseThrow()));
                        }
                    }
                }
            }
        }
    }

    private static float[] rows(Checkpoint checkpoint, nibble.checkpoint.model.Linear linear, int layer) {
        var where = checkpoint.config().stored(linear, layer);
        return WeightReader.floats(where.rows(checkpoint.tensor(where.weight())), checkpoint.folder());
    }

    private static float[] vector(Checkpoint checkpoint, String name) {
        float[] gain = WeightReader.floats(checkpoint.tensor(name), checkpoint.folder());
        for (int i = 0; i < gain.length; i++) {
            gain[i] += checkpoint.config().architecture().normOffset();
        }
        return gain;
    }

    /** llama.cpp would compute another number without a word. */
    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "gemma2|{}|query_pre_attn_scalar",
                "gemma3|{}|query_pre_attn_scalar",
                "gemma2|{\"query_pre_attn_scalar\":16,\"attn_logit_softcapping\":null}|capped scores 0",
                "smollm3|{}|layer 1 without rope",
                "llama-yarn|{}|not truncated",
                "olmo3|{}|attention factor 1.3",
            })
    void a_number_that_no_key_says_is_refused(String name, String changes, String expected) throws IOException {
        var json = (com.fasterxml.jackson.databind.node.ObjectNode)
                new com.fasterxml.jackson.databind.ObjectMapper().readTree(changes);
        Path model = changed(name, config -> config.setAll(json));
        try (Checkpoint source = Checkpoint.open(model)) {
            assertThatThrownBy(() -> GgufExporter.export(source, temp.resolve("no"), GgufMix.F16, 1, _ -> {}))
                    .isInstanceOf(nibble.checkpoint.source.BadCheckpointException.class)
                    .hasMessageContainingAll(expected, "GGUF");
        }
    }

    /** Rows of 32 take the type with blocks of 32 that stands for the K type: Q5_0 for Q4_K, Q8_0 for Q6_K. */
    @Test
    void a_fused_q_k_and_v_has_the_types_of_v_in_a_mix() throws IOException {
        try (Arena arena = Arena.ofConfined()) {
            var tensors = GgufFile.open(export("phi3", GgufMix.Q4_K_M), arena).tensors();
            assertThat(tensors.get("blk.0.attn_qkv.weight").type()).isEqualTo(GgufType.Q5_0);
            assertThat(tensors.get("blk.1.attn_qkv.weight").type()).isEqualTo(GgufType.Q8_0);
            assertThat(tensors.get("blk.0.ffn_up.weight").type()).isEqualTo(GgufType.Q5_0);
        }
    }
}
