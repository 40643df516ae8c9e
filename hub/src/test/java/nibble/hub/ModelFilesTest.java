package nibble.hub;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.List;
import nibble.hub.Downloader.Selection;
import nibble.hub.client.HubApi.RemoteFile;
import nibble.hub.client.HubException;
import nibble.hub.client.RepoName;
import org.junit.jupiter.api.Test;

/** Of several copies of the weights one is brought, chosen before anything large is; several models are named. */
class ModelFilesTest {
    private static final RepoName REPO = RepoName.parse("org/many");
    private static final String ID = "0".repeat(40);

    private static List<RemoteFile> files(String... paths) {
        return Arrays.stream(paths)
                .map(path -> new RemoteFile(path, 3_000_000_000L, ID, ID))
                .toList();
    }

    private static List<String> chosen(Selection selection, String... paths) {
        return of(selection, paths).files().stream().map(RemoteFile::path).toList();
    }

    private static ModelFiles of(Selection selection, String... paths) {
        String index = "{\"weight_map\": {\"a\": \"model-00001-of-00002.safetensors\", \"b\":"
                + " \"model-00002-of-00002.safetensors\"}}";
        return ModelFiles.of(REPO, files(paths), selection, _ -> index.getBytes(StandardCharsets.UTF_8));
    }

    @Test
    void mistrals_second_copy_beside_shards_is_left() {
        assertThat(chosen(
                        Selection.NEEDED,
                        "config.json",
                        "consolidated.safetensors",
                        "model-00001-of-00002.safetensors",
                        "model-00002-of-00002.safetensors",
                        "model.safetensors.index.json",
                        "params.json",
                        "tekken.json"))
                .containsExactly(
                        "config.json",
                        "model-00001-of-00002.safetensors",
                        "model-00002-of-00002.safetensors",
                        "model.safetensors.index.json",
                        "params.json",
                        "tekken.json");
        assertThat(chosen(
                        Selection.NEEDED,
                        "config.json",
                        "consolidated-00001-of-00002.safetensors",
                        "consolidated-00002-of-00002.safetensors",
                        "model.safetensors"))
                .containsExactly("config.json", "model.safetensors");
        assertThat(chosen(Selection.NEEDED, "consolidated.safetensors", "params.json"))
                .as("alone it is the model")
                .containsExactly("consolidated.safetensors", "params.json");
    }

    @Test
    void shards_that_the_index_does_not_name_and_copies_in_folders_are_left() {
        assertThat(chosen(
                        Selection.NEEDED,
                        "config.json",
                        "checkpoint-500/model.safetensors",
                        "checkpoint-500/optimizer.pt",
                        "model-00001-of-00002.safetensors",
                        "model-00001-of-00003.safetensors",
                        "model-00002-of-00002.safetensors",
                        "model.fp32.safetensors",
                        "model.safetensors.index.json",
                        "onnx/model.onnx",
                        "original/consolidated.00.pth",
                        "pytorch_model.bin",
                        "pytorch_model.bin.index.json",
                        "model-Q4_0.gguf",
                        "tf_model.h5",
                        "training_args.bin"))
                .containsExactly(
                        "config.json",
                        "model-00001-of-00002.safetensors",
                        "model-00002-of-00002.safetensors",
                        "model.safetensors.index.json");
    }

    @Test
    void an_index_that_names_what_is_not_there_is_said_before_the_download() {
        assertThatThrownBy(() -> of(
                        Selection.NEEDED,
                        "config.json",
                        "model-00001-of-00002.safetensors",
                        "model.safetensors.index.json"))
                .hasMessageContaining("names model-00002-of-00002.safetensors, which the repository does not have");
    }

    @Test
    void pytorch_files_are_taken_where_there_are_no_safetensors() {
        assertThat(chosen(
                        Selection.NEEDED,
                        "config.json",
                        "pytorch_model-00001-of-00002.bin",
                        "pytorch_model-00002-of-00002.bin",
                        "pytorch_model.bin.index.json",
                        "optimizer.pt",
                        "rng_state_0.pth",
                        "training_args.bin",
                        "x-Q4_0.gguf",
                        "x-Q8_0.gguf"))
                .containsExactly(
                        "config.json",
                        "pytorch_model-00001-of-00002.bin",
                        "pytorch_model-00002-of-00002.bin",
                        "pytorch_model.bin.index.json");
    }

    @Test
    void several_gguf_models_are_named_with_their_sizes() {
        String[] paths = {
            "README.md",
            "m-Q4_K_M.gguf",
            "m-Q8_0.gguf",
            "mmproj-m-f16.gguf",
            "f16/m-f16-00001-of-00002.gguf",
            "f16/m-f16-00002-of-00002.gguf"
        };
        assertThatThrownBy(() -> of(Selection.NEEDED, paths))
                .isInstanceOf(HubException.class)
                .hasMessage(
                        "org/many: holds 3 GGUF models; say which: org/many:f16/m-f16-00001-of-00002.gguf (6.00 GB),"
                                + " org/many:m-Q4_K_M.gguf (3.00 GB), org/many:m-Q8_0.gguf (3.00 GB)");
        assertThat(chosen(Selection.file("m-Q8_0.gguf"), paths)).containsExactly("m-Q8_0.gguf");
        assertThat(chosen(Selection.file("q4_k_m"), paths)).containsExactly("m-Q4_K_M.gguf");
        assertThat(chosen(Selection.file("f16/m-f16-00002-of-00002.gguf"), paths))
                .as("all parts of a split model")
                .containsExactly("f16/m-f16-00001-of-00002.gguf", "f16/m-f16-00002-of-00002.gguf");
        assertThat(of(Selection.file("F16"), paths).model().orElseThrow().path())
                .isEqualTo("f16/m-f16-00001-of-00002.gguf");
        assertThatThrownBy(() -> of(Selection.file("Q4"), paths))
                .hasMessageContaining("no such file; it has org/many:f16/");
        assertThat(chosen(Selection.ALL, paths)).hasSize(6);
    }

    @Test
    void a_quant_whose_name_begins_anothers_is_that_one() {
        String[] paths = {"m-Q4_K.gguf", "m-Q4_K_M.gguf", "m.Q4_K_S.gguf"};
        assertThat(chosen(Selection.file("Q4_K"), paths)).containsExactly("m-Q4_K.gguf");
        assertThat(chosen(Selection.file("Q4_K_S"), paths)).containsExactly("m.Q4_K_S.gguf");
    }

    @Test
    void the_only_gguf_model_is_the_file_and_its_sides_come_too() {
        ModelFiles one = of(Selection.NEEDED, "README.md", "m-Q4_0.gguf", "imatrix.gguf");
        assertThat(one.model().orElseThrow().path()).isEqualTo("m-Q4_0.gguf");
        assertThat(one.files().stream().map(RemoteFile::path)).containsExactly("README.md", "m-Q4_0.gguf");
    }

    @Test
    void sets_of_weights_without_an_index_are_named() {
        assertThatThrownBy(() -> of(Selection.NEEDED, "a.safetensors", "b.safetensors", "config.json"))
                .hasMessageContaining(
                        "holds 2 sets of weights without an index; say which: org/many:a.safetensors (3.00 GB),"
                                + " org/many:b");
        assertThat(chosen(Selection.file("b.safetensors"), "a.safetensors", "b.safetensors", "config.json"))
                .containsExactly("b.safetensors", "config.json");
        assertThat(chosen(Selection.NEEDED, "gptq_model-4bit-128g.safetensors", "config.json"))
                .hasSize(2);
    }

    @Test
    void a_repository_without_files_is_no_success() {
        assertThatThrownBy(() -> of(Selection.ALL)).hasMessageContaining("has no files at this revision");
    }
}
