package nibble.checkpoint;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import nibble.checkpoint.model.layer.Rope;
import nibble.checkpoint.safetensors.ShardPlan;
import nibble.checkpoint.safetensors.ShardedWriter;
import nibble.checkpoint.tensor.DType;
import nibble.checkpoint.tensor.TensorSpec;
import nibble.files.FileSize;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** The trained models that lie beside the project, one in each style of config; skipped where they are absent. */
class RealCheckpointTest {
    @ParameterizedTest
    @CsvSource({"wiki-7m, 256, 6, 13638144", "wiki-27m, 512, 8, 53494784"})
    void models_open_whole(String name, int hidden, int layers, long bytes) throws IOException {
        Path folder = model(name);
        try (Checkpoint checkpoint = Checkpoint.open(folder)) {
            assertThat(checkpoint.config().hiddenSize()).isEqualTo(hidden);
            assertThat(checkpoint.config().layers()).isEqualTo(layers);
            assertThat(checkpoint.config().rope()).isEqualTo(new Rope(10_000, new Rope.None()));
            assertThat(checkpoint.config().dtype()).isEqualTo(DType.F16);
            assertThat(checkpoint.config().bosId()).isEqualTo(1);
            assertThat(checkpoint.config().eosIds()).containsExactly(2);
            assertThat(checkpoint.tensorBytes()).isEqualTo(bytes);
            assertThat(checkpoint.names()).hasSize(3 + 9 * layers);
            assertThat(checkpoint.sideFiles().stream()
                            .map(file -> file.getFileName().toString()))
                    .contains(
                            "generation_config.json",
                            "special_tokens_map.json",
                            "tokenizer.json",
                            "tokenizer.model",
                            "tokenizer_config.json")
                    .doesNotContain("config.json", "README.md");
        }
    }

    @Test
    void a_model_written_again_is_the_same_model(@TempDir Path out) throws IOException {
        Path folder = model("wiki-7m");
        try (Checkpoint source = Checkpoint.open(folder)) {
            List<TensorSpec> specs = source.config().tensors();
            ShardPlan plan = ShardPlan.of(specs, FileSize.parse("3MB"));
            try (ShardedWriter writer = new ShardedWriter(out, plan)) {
                specs.forEach(spec ->
                        writer.write(spec.name(), source.tensor(spec.name()).data()));
                writer.finish();
            }
            Files.copy(folder.resolve("config.json"), out.resolve("config.json"));
            try (Checkpoint copy = Checkpoint.open(out)) {
                for (TensorSpec spec : specs) {
                    assertThat(copy.tensor(spec.name())
                                    .data()
                                    .mismatch(source.tensor(spec.name()).data()))
                            .isEqualTo(-1);
                }
            }
        }
    }

    private static Path model(String name) {
        Path root = Path.of(System.getProperty("nibble.root", ".."))
                .toAbsolutePath()
                .normalize();
        Path folder = root.getParent().resolve("shared/models").resolve(name);
        Assumptions.assumeTrue(Files.isDirectory(folder), () -> folder + " is absent");
        return folder;
    }
}
