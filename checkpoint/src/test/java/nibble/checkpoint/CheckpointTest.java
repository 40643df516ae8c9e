package nibble.checkpoint;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;
import nibble.checkpoint.model.ModelConfig;
import nibble.checkpoint.model.quantization.QuantizationConfig;
import nibble.checkpoint.model.quantization.QuantizedFormat;
import nibble.checkpoint.safetensors.RawSafetensors;
import nibble.checkpoint.safetensors.SafetensorsIndex;
import nibble.checkpoint.source.BadCheckpointException;
import nibble.checkpoint.tensor.DType;
import nibble.checkpoint.tensor.Shape;
import nibble.checkpoint.tensor.TensorSpec;
import nibble.checkpoint.tensor.TensorView;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class CheckpointTest {
    private static final String SHARD_2 = "model-00002-of-00002.safetensors";

    @TempDir
    Path folder;

    @Test
    void a_sharded_checkpoint_opens_with_every_tensor_in_its_file() throws IOException {
        TinyCheckpoint.writeSharded(folder);
        try (Checkpoint checkpoint = Checkpoint.open(folder)) {
            List<TensorSpec> expected = checkpoint.config().tensors();
            assertThat(checkpoint.names())
                    .isEqualTo(expected.stream().map(TensorSpec::name).toList());
            assertThat(checkpoint.tensorBytes())
                    .isEqualTo(expected.stream().mapToLong(TensorSpec::bytes).sum());
            assertThat(checkpoint.fileOf("lm_head.weight")).isEqualTo(folder.resolve(SHARD_2));
            assertThat(checkpoint.tensor("model.norm.weight").shape()).isEqualTo(Shape.of(32));
            assertThat(checkpoint.find("nothing")).isEmpty();
            assertThatThrownBy(() -> checkpoint.fileOf("nothing")).isInstanceOf(BadCheckpointException.class);
        }
    }

    @Test
    void tensors_are_dead_after_close_and_close_may_be_repeated() throws IOException {
        Checkpoint checkpoint = Checkpoint.open(TinyCheckpoint.write(folder));
        TensorView tensor = checkpoint.tensor("model.norm.weight");
        checkpoint.close();
        checkpoint.close();
        assertThat(tensor.data().scope().isAlive()).isFalse();
    }

    @Test
    void unused_tensors_and_stale_copies_are_left_alone() throws IOException {
        List<TensorSpec> specs = new ArrayList<>(TinyCheckpoint.config(folder).tensors());
        specs.add(new TensorSpec("model.layers.0.self_attn.rotary_emb.inv_freq", DType.F32, Shape.of(4)));
        RawSafetensors.write(folder.resolve("model.safetensors"), specs);
        try (Checkpoint checkpoint = Checkpoint.open(folder)) {
            assertThat(checkpoint.names()).hasSize(specs.size());
        }
    }

    @Test
    void files_of_another_float_type_than_the_config_states_are_fine() throws IOException {
        ModelConfig config = TinyCheckpoint.config(folder, json -> json.put("torch_dtype", "bfloat16"));
        RawSafetensors.write(folder.resolve("model.safetensors"), config.tensors());
        TinyCheckpoint.config(folder);
        try (Checkpoint checkpoint = Checkpoint.open(folder)) {
            assertThat(checkpoint.tensor("model.norm.weight").dtype()).isEqualTo(DType.BF16);
        }
    }

    @Test
    void side_files_are_those_that_belong_to_the_model_whatever_its_weights() throws IOException {
        TinyCheckpoint.write(folder);
        List<String> carried = List.of(
                "LICENSE.txt",
                "Notice",
                "USE_POLICY.md",
                "chat_template.jinja",
                "generation_config.json",
                "special_tokens_map.json",
                "tokenizer.json",
                "tokenizer.model",
                "tokenizer_config.json");
        List<String> left =
                List.of("README.md", "quant_config.json", "pytorch_model.bin", ".gitattributes", "other.txt");
        for (String name : carried) {
            Files.writeString(folder.resolve(name), name);
        }
        for (String name : left) {
            Files.writeString(folder.resolve(name), name);
        }
        Files.createDirectory(folder.resolve("tokenizer_folder"));
        Files.createDirectory(folder.resolve("additional_chat_templates"));
        Files.writeString(folder.resolve("additional_chat_templates/other.txt"), "o");
        Path named = Files.writeString(folder.resolve("additional_chat_templates/rag.jinja"), "r");
        try (Checkpoint checkpoint = Checkpoint.open(folder)) {
            assertThat(checkpoint.sideFiles())
                    .containsExactlyElementsOf(Stream.concat(carried.stream().map(folder::resolve), Stream.of(named))
                            .toList());
            assertThat(SideFiles.name(folder, named)).isEqualTo("additional_chat_templates/rag.jinja");
            assertThat(SideFiles.name(folder, folder.resolve("tokenizer.json"))).isEqualTo("tokenizer.json");
        }
    }

    @ParameterizedTest
    @ValueSource(ints = {32, -1})
    void an_awq_checkpoint_opens(int group) throws IOException {
        ModelConfig config = awqConfig(group);
        RawSafetensors.write(folder.resolve("model.safetensors"), TinyCheckpoint.awqTensors(config, group));
        try (Checkpoint checkpoint = Checkpoint.open(folder)) {
            assertThat(checkpoint.config().quantization().orElseThrow().groupSize())
                    .isEqualTo(group);
            assertThat(checkpoint.tensor("model.layers.1.mlp.down_proj.scales").dtype())
                    .isEqualTo(DType.F16);
        }
    }

    @Test
    void an_early_awq_checkpoint_is_told_by_its_quant_config() throws IOException {
        ModelConfig config = TinyCheckpoint.config(folder);
        RawSafetensors.write(folder.resolve("awq_model_w4_g32.safetensors"), TinyCheckpoint.awqTensors(config, 32));
        refused("quant_config.json");
        Files.writeString(
                folder.resolve("quant_config.json"), "{\"zero_point\": true, \"q_group_size\": 32, \"w_bit\": 4}");
        try (Checkpoint checkpoint = Checkpoint.open(folder)) {
            assertThat(checkpoint.config().quantization())
                    .contains(new QuantizationConfig(QuantizedFormat.AWQ_GEMM, 4, 32, false, false));
        }
    }

    @Test
    void awq_tensors_of_another_group_size_type_or_absent_are_refused() throws IOException {
        ModelConfig config = awqConfig(32);
        List<TensorSpec> specs = TinyCheckpoint.awqTensors(config, -1);
        RawSafetensors.write(folder.resolve("model.safetensors"), specs);
        refused("down_proj.qzeros", "found shape [1, 4]", "[2, 4]");

        specs = TinyCheckpoint.awqTensors(config, 32);
        specs.replaceAll(spec -> spec.name().endsWith("1.mlp.up_proj.scales")
                ? new TensorSpec(spec.name(), DType.F32, spec.shape())
                : spec);
        RawSafetensors.write(folder.resolve("model.safetensors"), specs);
        refused("1.mlp.up_proj.scales", "found type F32", "F16");

        RawSafetensors.write(folder.resolve("model.safetensors"), config.tensors());
        refused("q_proj.qweight", "is missing");

        TinyCheckpoint.config(
                folder,
                json -> json.putObject("quantization_config")
                        .put("quant_method", "awq")
                        .put("bits", 4)
                        .put("group_size", 128));
        refused("32 input", "128");
    }

    @Test
    void tensors_that_disagree_with_the_config_are_refused() throws IOException {
        TinyCheckpoint.write(folder);
        TinyCheckpoint.config(folder, json -> json.put("intermediate_size", 96));
        refused("model.safetensors: tensor model.layers.0.mlp.gate_proj.weight", "found shape [64, 32]", "[96, 32]");
        TinyCheckpoint.config(folder, json -> json.put("num_hidden_layers", 3));
        refused("model.layers.2.input_layernorm.weight [32] is missing");
        TinyCheckpoint.config(folder, json -> json.put("num_hidden_layers", 1));
        refused("model.layers.1.", "only 1 layers");

        List<TensorSpec> specs = new ArrayList<>(TinyCheckpoint.config(folder).tensors());
        specs.replaceAll(spec ->
                spec.name().equals("model.norm.weight") ? new TensorSpec(spec.name(), DType.I8, spec.shape()) : spec);
        RawSafetensors.write(folder.resolve("model.safetensors"), specs);
        refused("model.norm.weight: found type I8");

        specs = new ArrayList<>(TinyCheckpoint.config(folder).tensors());
        specs.add(new TensorSpec("model.layers.0.self_attn.q_proj.bias", DType.F16, Shape.of(32)));
        RawSafetensors.write(folder.resolve("model.safetensors"), specs);
        refused("q_proj.bias", "LlamaForCausalLM has no such bias");

        specs = new ArrayList<>(TinyCheckpoint.config(folder).tensors());
        specs.add(new TensorSpec("model.layers.0.self_attn.q_norm.weight", DType.F16, Shape.of(8)));
        RawSafetensors.write(folder.resolve("model.safetensors"), specs);
        refused("q_norm.weight", "LlamaForCausalLM has no such norm");
    }

    @Test
    void an_index_that_does_not_fit_its_files_is_refused() throws IOException {
        TinyCheckpoint.writeSharded(folder);
        Path index = folder.resolve(SafetensorsIndex.FILE_NAME);
        String good = Files.readString(index);

        Files.writeString(
                index,
                good.replace(
                        "\"lm_head.weight\": \"" + SHARD_2, "\"lm_head.weight\": \"model-00001-of-00002.safetensors"));
        refused("index.json: tensor lm_head.weight should be in model-00001-of-00002.safetensors", "no such tensor");
        Files.writeString(index, good.replace("\"lm_head.weight\"", "\"lm_tail.weight\""));
        refused("tensor lm_tail.weight");
        Files.writeString(index, good.replace(",\"lm_head.weight\": \"" + SHARD_2 + "\"", ""));
        refused("tensor lm_head.weight", "is missing");
        Files.writeString(index, "{\"metadata\": {}}");
        refused("weight_map");
        Files.writeString(index, "{\"weight_map\": {}}");
        refused("empty");
        Files.writeString(index, "{\"weight_map\": {\"a\": 1}}");
        refused("tensor a", "expected a string");
        Files.writeString(index, "{\"weight_map\": {\"a\": \"pytorch_model.bin\"}}");
        refused("not a .safetensors");
        Files.writeString(index, good);
        Files.delete(folder.resolve(SHARD_2));
        refused(SHARD_2 + ", which does not exist");
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "../x.safetensors",
                "/etc/x.safetensors",
                "sub/x.safetensors",
                "..",
                "",
                "a\\\\b.safetensors",
                "C:x.safetensors",
                "x\\u0000.safetensors"
            })
    void an_index_that_leaves_its_folder_is_refused(String name) throws IOException {
        TinyCheckpoint.config(folder);
        Files.writeString(folder.resolve(SafetensorsIndex.FILE_NAME), "{\"weight_map\": {\"a\": \"" + name + "\"}}");
        refused("tensor a", "not a plain name");
    }

    @Test
    void shards_that_are_links_are_followed_as_hub_caches_have_them() throws IOException {
        Path blobs = Files.createDirectory(folder.resolve("blobs"));
        Path snapshot = Files.createDirectory(folder.resolve("snapshot"));
        TinyCheckpoint.writeSharded(snapshot);
        Files.move(snapshot.resolve(SHARD_2), blobs.resolve("0123"));
        Files.createSymbolicLink(snapshot.resolve(SHARD_2), Path.of("../blobs/0123"));
        Checkpoint.open(snapshot).close();
    }

    @Test
    void folders_that_are_no_checkpoint_are_refused() throws IOException {
        assertThatThrownBy(() -> Checkpoint.open(folder.resolve("none")))
                .isInstanceOf(BadCheckpointException.class)
                .hasMessageContaining("no such folder");
        Path file = Files.writeString(folder.resolve("file"), "");
        assertThatThrownBy(() -> Checkpoint.open(file))
                .isInstanceOf(BadCheckpointException.class)
                .hasMessageContaining("is a file");
        refused("no config.json");
        TinyCheckpoint.config(folder);
        refused("no weights");
        Files.writeString(folder.resolve("pytorch_model-00001-of-00002.bin"), "");
        refused("pytorch_model-00001-of-00002.bin", "the file is empty");
        Files.writeString(folder.resolve("a.safetensors"), "");
        Files.writeString(folder.resolve("b.safetensors"), "");
        refused("2 safetensors files", "get the index");
    }

    @Test
    void a_damaged_shard_is_named() throws IOException {
        TinyCheckpoint.writeSharded(folder);
        byte[] bytes = Files.readAllBytes(folder.resolve(SHARD_2));
        Files.write(folder.resolve(SHARD_2), java.util.Arrays.copyOf(bytes, bytes.length - 1));
        refused(SHARD_2 + ": tensor lm_head.weight", "cut short");
    }

    private ModelConfig awqConfig(int group) throws IOException {
        return TinyCheckpoint.config(
                folder,
                json -> json.putObject("quantization_config")
                        .put("quant_method", "awq")
                        .put("bits", 4)
                        .put("group_size", group)
                        .put("zero_point", true)
                        .put("version", "gemm"));
    }

    private void refused(String... parts) {
        assertThatThrownBy(() -> Checkpoint.open(folder))
                .isInstanceOf(BadCheckpointException.class)
                .hasMessageContaining(folder.toString())
                .hasMessageContainingAll(parts);
    }
}
