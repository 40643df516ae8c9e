package nibble.convert.gguf;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;
import java.util.stream.Stream;
import nibble.checkpoint.Checkpoint;
import nibble.checkpoint.model.layer.Rope;
import nibble.checkpoint.source.BadCheckpointException;
import nibble.checkpoint.tensor.StoredTensor;
import nibble.checkpoint.tensor.TensorSpec;
import nibble.checkpoint.tensor.TensorView;
import nibble.convert.BundledModel;
import nibble.convert.CheckpointConverter;
import nibble.convert.ConversionReport;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** The bundled model written as GGUF and read again. */
class GgufExporterTest {
    private static final Path MODEL = BundledModel.FOLDER;

    @TempDir
    @SuppressWarnings("NullAway.Init")
    private static Path shared;

    @TempDir
    @SuppressWarnings("NullAway.Init")
    private Path temp;

    @BeforeAll
    static void writeOnce() {
        export(MODEL, shared.resolve("f16"), GgufMix.F16);
    }

    @Test
    void f16_reads_back_as_the_same_model_with_its_config_and_tokenizer() throws IOException {
        try (Checkpoint source = Checkpoint.open(MODEL);
                Checkpoint found = Checkpoint.open(shared.resolve("f16"))) {
            for (TensorSpec spec : source.config().tensors()) {
                TensorView tensor = found.tensor(spec.name());
                if (spec.shape().rank() == 2) {
                    assertThat(tensor.spec()).isEqualTo(spec);
                    assertThat(tensor.data().mismatch(source.tensor(spec.name()).data()))
                            .as(spec.name())
                            .isEqualTo(-1);
                }
            }
            assertThat(found.config().maxPositions()).isEqualTo(source.config().maxPositions());
            assertThat(found.config().rmsNormEps()).isEqualTo(source.config().rmsNormEps());
            assertThat(found.config().rope()).isEqualTo(source.config().rope());
            assertThat(found.config().kvHeads()).isEqualTo(2);
            assertThat(found.config().bosId()).isEqualTo(1);
            assertThat(found.config().eosIds()).containsExactly(2);

            JsonNode made = new ObjectMapper().readTree(found.madeFiles().get("tokenizer.json"));
            JsonNode original =
                    new ObjectMapper().readTree(MODEL.resolve("tokenizer.json").toFile());
            for (String part :
                    new String[] {"/model", "/normalizer", "/decoder", "/added_tokens", "/post_processor/single"}) {
                assertThat(made.at(part)).as(part).isEqualTo(original.at(part));
            }
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"Q4_K_M", "Q8_0"})
    void a_mix_gives_each_tensor_its_type(String name) {
        GgufMix mix = GgufMix.named(name).orElseThrow();
        ConversionReport report = export(MODEL, temp.resolve("out"), mix);
        assertThat(report.tensors()).isEqualTo(57);
        try (Checkpoint found = Checkpoint.open(temp.resolve("out"))) {
            assertThat(storage(found, "model.norm.weight")).isEqualTo("F32");
            assertThat(storage(found, "lm_head.weight")).isEqualTo(name.equals("Q8_0") ? "Q8_0" : "Q6_K");
            assertThat(storage(found, "model.layers.5.mlp.down_proj.weight"))
                    .isEqualTo(mix == GgufMix.Q4_K_M ? "Q6_K" : "Q8_0");
            assertThat(found.tensorBytes())
                    .isLessThan(report.outputBytes())
                    .isGreaterThan(report.outputBytes() * 9 / 10);
        }
    }

    @Test
    void a_file_converts_back_to_safetensors_and_by_any_number_of_threads_to_the_same_bytes() throws IOException {
        Path one = temp.resolve("one");
        Path three = temp.resolve("three");
        try (Checkpoint source = Checkpoint.open(MODEL)) {
            GgufExporter.export(source, one, GgufMix.Q5_0, 1, fraction -> {});
            GgufExporter.export(source, three, GgufMix.Q5_0, 3, fraction -> {});
        }
        assertThat(three.resolve("wiki-7m-Q5_0.gguf")).hasSameBinaryContentAs(one.resolve("wiki-7m-Q5_0.gguf"));
        Path back = temp.resolve("back");
        try (Checkpoint gguf = Checkpoint.open(one.resolve("wiki-7m-Q5_0.gguf"))) {
            CheckpointConverter.convert(
                    gguf, back, new CheckpointConverter.Target.Safetensors(Optional.empty()), 1 << 30, fraction -> {});
        }
        try (Checkpoint dense = Checkpoint.open(back);
                Checkpoint gguf = Checkpoint.open(one)) {
            assertThat(dense.stored("lm_head.weight").map(StoredTensor::storage))
                    .contains("F16");
            float[] expected =
                    nibble.pack.WeightReader.floats(gguf.tensor("model.layers.1.self_attn.q_proj.weight"), one);
            float[] found =
                    nibble.pack.WeightReader.floats(dense.tensor("model.layers.1.self_attn.q_proj.weight"), back);
            for (int i = 0; i < expected.length; i++) {
                assertThat(found[i]).isEqualTo(nibble.pack.Half.round(expected[i]));
            }
        }
        assertThat(back.resolve("tokenizer.json")).exists();
    }

    /**
     * The bundled model's heads are of 64; the divisors themselves are compared with llama.cpp's in RopeFactorsTest.
     */
    @ParameterizedTest
    @CsvSource({"500000, 32, 8192", "500000, 8, 4096", "500000, 8, 1000", "10000, 2.5, 2048"})
    void llama_3_rope_scaling_travels_as_its_factors(double theta, double factor, int original) throws IOException {
        Path scaled = Files.createDirectory(temp.resolve("scaled"));
        copyModel(scaled);
        ObjectNode config = (ObjectNode)
                new ObjectMapper().readTree(scaled.resolve("config.json").toFile());
        config.put("rope_theta", theta)
                .putObject("rope_scaling")
                .put("rope_type", "llama3")
                .put("factor", factor)
                .put("low_freq_factor", 1.0)
                .put("high_freq_factor", 4.0)
                .put("original_max_position_embeddings", original);
        Files.writeString(scaled.resolve("config.json"), config.toString());
        export(scaled, temp.resolve("out"), GgufMix.F16);
        try (Checkpoint found = Checkpoint.open(temp.resolve("out"))) {
            assertThat(found.config().rope()).isEqualTo(new Rope(theta, new Rope.Llama3(factor, 1, 4, original)));
        }
    }

    @Test
    void a_model_without_a_tokenizer_is_refused_before_anything_is_written() throws IOException {
        Path bare = Files.createDirectory(temp.resolve("bare"));
        copyModel(bare);
        Files.delete(bare.resolve("tokenizer.json"));
        Files.delete(bare.resolve("tokenizer.model"));
        assertThatThrownBy(() -> export(bare, temp.resolve("out"), GgufMix.Q8_0))
                .isInstanceOf(BadCheckpointException.class)
                .hasMessageContaining("tokenizer");
        assertThat(temp.resolve("out")).doesNotExist();
    }

    private static ConversionReport export(Path model, Path out, GgufMix mix) {
        try (Checkpoint source = Checkpoint.open(model)) {
            return GgufExporter.export(source, out, mix, 2, fraction -> {});
        }
    }

    private static void copyModel(Path to) throws IOException {
        try (Stream<Path> files = Files.list(MODEL)) {
            for (Path file : files.toList()) {
                Files.copy(file, to.resolve(file.getFileName()));
            }
        }
    }

    private static String storage(Checkpoint checkpoint, String name) {
        return checkpoint.stored(name).orElseThrow().storage();
    }
}
