package nibble.convert.verify;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.junit.jupiter.params.provider.Arguments.arguments;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Stream;
import nibble.checkpoint.Checkpoint;
import nibble.checkpoint.Checksums;
import nibble.checkpoint.model.quantization.QuantizedFormat;
import nibble.checkpoint.source.BadCheckpointException;
import nibble.checkpoint.source.Finding;
import nibble.convert.RandomCheckpoint;
import nibble.convert.RoundedCheckpoint;
import nibble.pack.QuantizationSpec;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * A good quantized checkpoint has no findings; each planted defect is found, by its check, with a message that names
 * it.
 */
class CheckpointVerificationTest {
    static final String INDEX = "model.safetensors.index.json";

    @TempDir
    Path temp;

    private Path source;
    private Path good;

    @BeforeEach
    void write() throws IOException {
        source = RandomCheckpoint.write(temp.resolve("source"));
    }

    @ParameterizedTest
    @EnumSource
    void a_good_checkpoint_of_every_format_has_no_errors(QuantizedFormat format) throws IOException {
        good = quantize(source, temp.resolve("good"), new QuantizationSpec(4, 32), format);
        CheckpointVerification found = verify(good, Optional.of(source));
        // Four heads on eight devices, and that vLLM refuses GPTQ with zero points: all there is to say.
        assertThat(found.findings())
                .extracting(Finding::check)
                .isSubsetOf("tensor-parallel", "loaders", "quantization-config");
        assertThat(found.errors()).as("%s", found.findings()).isEqualTo(format == QuantizedFormat.GPTQ ? 1 : 0);
        assertThat(found.files()).extracting(file -> file.path()).contains("config.json", INDEX, "tokenizer.json");
        assertThat(found.tensorParallel())
                .extracting(TensorParallelSplit::devices)
                .containsExactly(1, 2, 4, 8);
        assertThat(found.source().orElseThrow().linears())
                .hasSize(7)
                .allSatisfy(linear -> assertThat(linear.relativeError()).isBetween(1e-4, 0.05));
    }

    @ParameterizedTest
    @CsvSource({
        "AWQ_GEMM, 64",
        "AWQ_GEMM, -1",
        "GPTQ_V2, 64",
        "GPTQ_V2, -1",
        "COMPRESSED_TENSORS, 64",
        "COMPRESSED_TENSORS, -1"
    })
    void every_group_size_is_checked_by_its_own_shapes(QuantizedFormat format, int groupSize) throws IOException {
        good = quantize(source, temp.resolve("good"), new QuantizationSpec(4, groupSize), format);
        assertThat(verify(good, Optional.of(source)).errors()).isZero();
    }

    /** Every defect of every format that it applies to. */
    static Stream<Arguments> defects() {
        return Stream.of(
                        QuantizedFormat.AWQ_GEMM,
                        QuantizedFormat.GPTQ,
                        QuantizedFormat.GPTQ_V2,
                        QuantizedFormat.COMPRESSED_TENSORS)
                .flatMap(format -> Stream.concat(PlantedDefects.common(format), PlantedDefects.of(format))
                        .map(defect -> arguments(format, defect)));
    }

    @ParameterizedTest(name = "{0}: {1}")
    @MethodSource("defects")
    void a_planted_defect_is_found(QuantizedFormat format, PlantedDefects.Planted defect) throws IOException {
        good = quantize(source, temp.resolve("good"), new QuantizationSpec(4, 32), format);
        if (defect.check().equals("sha256")) {
            Checksums.write(good, verify(good, Optional.empty()).files());
        }
        defect.defect().plant(good);

        CheckpointVerification found = verify(good, Optional.of(source));

        assertThat(found.findings()).as(defect.name()).anySatisfy(finding -> {
            assertThat(finding.check()).isEqualTo(defect.check());
            assertThat(finding.message()).contains(defect.fragment());
        });
        assertThat(found.findings().stream().map(Finding::message).distinct().count())
                .as("nothing is said twice")
                .isEqualTo(found.findings().size());
    }

    @Test
    void splits_that_do_not_align_are_named() throws IOException {
        Path wide = quantize(source, temp.resolve("wide"), new QuantizationSpec(4, 64), QuantizedFormat.AWQ_GEMM);
        CheckpointVerification found = verify(wide, Optional.empty());
        assertThat(found.errors()).isZero();
        assertThat(found.tensorParallel())
                .extracting(TensorParallelSplit::aligned)
                .containsExactly(true, false, false, false);
        assertThat(found.tensorParallel().get(1).obstacle()).contains("o_proj", "64", "group size");
    }

    @Test
    void a_source_of_another_shape_is_refused_and_a_file_is_no_checkpoint() throws IOException {
        good = quantize(source, temp.resolve("good"), new QuantizationSpec(4, 32), QuantizedFormat.AWQ_GEMM);
        Path other = RandomCheckpoint.write(
                temp.resolve("other"),
                Map.of(),
                RandomCheckpoint.config().replace("\"intermediate_size\": 128", "\"intermediate_size\": 64"));
        CheckpointVerification found = verify(good, Optional.of(other));
        assertThat(found.findings()).anySatisfy(f -> assertThat(f.message()).contains("other shapes"));
        assertThatThrownBy(() -> verify(good.resolve("config.json"), Optional.empty()))
                .isInstanceOf(BadCheckpointException.class)
                .hasMessageContaining("give the checkpoint's folder");
    }

    private static CheckpointVerification verify(Path folder, Optional<Path> source) {
        return CheckpointVerification.of(folder, source, 2, bytes -> {});
    }

    private static Path quantize(Path source, Path out, QuantizationSpec spec, QuantizedFormat format)
            throws IOException {
        Files.createDirectory(out);
        try (Checkpoint model = Checkpoint.open(source)) {
            RoundedCheckpoint.write(model, out, format, spec, 30_000);
        }
        Files.writeString(
                out.resolve("tokenizer.json"), "{\"model\":{\"vocab\":{\"a\":0,\"b\":1}},\"added_tokens\":[]}");
        Files.writeString(out.resolve("tokenizer_config.json"), "{\"chat_template\": \"{{ messages }}\"}");
        return out;
    }
}
