package nibble.calibrate;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import java.util.TreeMap;
import java.util.stream.Stream;
import nibble.calibrate.job.BestSettings;
import nibble.calibrate.job.Method;
import nibble.calibrate.job.ProgressListener;
import nibble.calibrate.job.QuantizationJob;
import nibble.calibrate.job.QuantizationReport;
import nibble.calibrate.job.QuantizeOptions;
import nibble.checkpoint.Checkpoint;
import nibble.checkpoint.model.quantization.QuantizedFormat;
import nibble.checkpoint.source.BadCheckpointException;
import nibble.convert.RandomCheckpoint;
import nibble.datasets.CalibrationText;
import nibble.datasets.TextDataset;
import nibble.datasets.TokenBlocks;
import nibble.datasets.Tokenizer;
import nibble.datasets.Tokenizers;
import nibble.engine.Backends;
import nibble.engine.Llama;
import nibble.engine.backend.Backend;
import nibble.engine.backend.QuantizationDevices;
import nibble.engine.tensor.DecoderLayer;
import nibble.engine.tensor.ModelWeights;
import nibble.files.output.OutputException;
import nibble.files.output.StopSignal;
import nibble.pack.QuantizationSpec;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;

class CheckpointQuantizerTest {
    private static final long GB = 1_000_000_000L;

    @TempDir
    Path temp;

    private static TokenBlocks blocks() {
        Random random = new Random(3);
        int[][] blocks = new int[6][32];
        for (int[] block : blocks) {
            for (int i = 0; i < block.length; i++) {
                block[i] = random.nextInt(48);
            }
        }
        return new TokenBlocks(blocks, 200, "random ids");
    }

    private static QuantizeOptions options(Method method, int groupSize, int threads) {
        return new QuantizeOptions(method, new QuantizationSpec(4, groupSize), GB, threads);
    }

    private static QuantizationReport quantize(Path source, Path out, QuantizeOptions options) {
        try (Checkpoint checkpoint = Checkpoint.open(source);
                Backend backend = Backends.open("cpu", options.threads())) {
            return CheckpointQuantizer.quantize(
                    checkpoint, out, Optional.of(blocks()), options, backend, ProgressListener.NONE);
        }
    }

    @ParameterizedTest
    @CsvSource({"32", "64", "-1"})
    void no_pair_is_worse_than_plain_rounding_and_the_whole_is_better(int groupSize) throws IOException {
        QuantizationReport report = quantize(
                RandomCheckpoint.write(temp.resolve("in")), temp.resolve("out"), options(Method.AWQ, groupSize, 2));
        assertThat(report.layers()).hasSize(2);
        for (QuantizationReport.Layer layer : report.layers()) {
            assertThat(layer.linears()).hasSize(7);
            assertThat(layer.pairs()).hasSize(4).allSatisfy(pair -> {
                assertThat(pair.finalLoss()).isLessThanOrEqualTo(pair.rtnLoss());
                assertThat(pair.loss()).isLessThanOrEqualTo(pair.rtnLoss());
            });
        }
        assertThat(report.meanRelativeError()).isLessThan(report.meanRtnRelativeError());
    }

    @Test
    void threads_do_not_change_a_byte() throws IOException {
        Path source = RandomCheckpoint.write(temp.resolve("in"));
        quantize(source, temp.resolve("one"), options(Method.AWQ, 32, 1));
        quantize(source, temp.resolve("two"), options(Method.AWQ, 32, 2));
        assertThat(contents(temp.resolve("one"))).isEqualTo(contents(temp.resolve("two")));
    }

    @ParameterizedTest
    @EnumSource(Method.class)
    void the_reloaded_checkpoint_is_the_model_that_was_in_memory(Method method) throws IOException {
        Path source = RandomCheckpoint.write(temp.resolve("in"));
        assertReloadsAs(source, blocks(), options(method, 32, 2), blocks().blocks()[0]);
    }

    @ParameterizedTest
    @EnumSource(Method.class)
    void so_is_one_of_8_bits(Method method) throws IOException {
        Path source = RandomCheckpoint.write(temp.resolve("in"));
        QuantizationSpec spec = new QuantizationSpec(8, 32, true);
        QuantizeOptions options = new QuantizeOptions(
                method, spec, QuantizedFormat.COMPRESSED_TENSORS, GB, 2, false, BestSettings.NO_STEPS);
        assertReloadsAs(source, blocks(), options, blocks().blocks()[0]);
    }

    @Test
    void the_bundled_model_reloads_as_it_was_in_memory() throws IOException {
        Path source = Path.of(System.getProperty("nibble.root"), "models", "wiki-7m");
        try (Tokenizer tokenizer = Tokenizers.open(source)) {
            TokenBlocks blocks = TokenBlocks.cut(tokenizer, CalibrationText.wikitext2(), 2, 256);
            String text = TextDataset.wikitext2Test().text().substring(0, 10_000);
            int[] ids = Arrays.copyOf(tokenizer.encode(text, true), 1024);
            assertThat(ids[1023]).as("the last of them").isNotZero();
            assertReloadsAs(source, blocks, options(Method.RTN, 128, 2), ids);
        }
    }

    /**
     * Writes, reads back, and compares with the same layers before they were packed: every logit, and so the
     * perplexity.
     */
    private void assertReloadsAs(Path source, TokenBlocks blocks, QuantizeOptions options, int[] ids) {
        Path out = temp.resolve("out");
        try (Checkpoint original = Checkpoint.open(source);
                Backend backend = Backends.open("cpu", options.threads())) {
            CheckpointQuantizer.quantize(original, out, Optional.of(blocks), options, backend, ProgressListener.NONE);
            List<DecoderLayer> layers = new ArrayList<>();
            Quantizer.run(
                    new QuantizationJob(original, Optional.of(blocks), options),
                    QuantizationDevices.of(backend),
                    (_, quantized) -> {
                        layers.add(quantized.toDecoderLayer());
                        return List.of();
                    },
                    _ -> {},
                    ProgressListener.NONE,
                    new StopSignal());
            ModelWeights dense = ModelWeights.read(original);
            ModelWeights inMemory =
                    new ModelWeights(dense.config(), dense.embedding(), layers, dense.finalNorm(), dense.head());
            try (Checkpoint written = Checkpoint.open(out);
                    Llama before = Llama.of(inMemory, backend);
                    Llama after = Llama.load(written, backend)) {
                assertThat(after.logits(ids)).isEqualTo(before.logits(ids));
                assertThat(perplexity(after, ids)).isCloseTo(perplexity(before, ids), within(1e-3));
            }
        }
    }

    private static double perplexity(Llama model, int[] ids) {
        double sum = 0;
        for (float value : model.logProbabilities(ids)) {
            sum += value;
        }
        return Math.exp(-sum / (ids.length - 1));
    }

    @Test
    void rounding_needs_no_calibration() throws IOException {
        Path source = RandomCheckpoint.write(temp.resolve("in"));
        try (Checkpoint checkpoint = Checkpoint.open(source);
                Backend backend = Backends.open("cpu", 1)) {
            QuantizationReport report = CheckpointQuantizer.quantize(
                    checkpoint,
                    temp.resolve("out"),
                    Optional.empty(),
                    options(Method.RTN, 64, 1),
                    backend,
                    ProgressListener.NONE);
            QuantizationReport.Linear linear =
                    report.layers().getFirst().linears().getFirst();
            assertThat(linear.relativeError()).isNull();
            assertThat(linear.weightRelativeError()).isBetween(1e-4, 0.05);
            assertThat(report.calibration()).isNull();
        }
    }

    @Test
    void the_report_is_json_in_snake_case() throws IOException {
        Path out = temp.resolve("out");
        QuantizationReport report =
                quantize(RandomCheckpoint.write(temp.resolve("in")), out, options(Method.AWQ, 32, 1));
        JsonNode json = new ObjectMapper()
                .readTree(out.resolve("quantization_report.json").toFile());
        assertThat(json.get("method").asText()).isEqualTo("awq");
        assertThat(json.get("bits").asInt()).isEqualTo(4);
        assertThat(json.get("group_size").asInt()).isEqualTo(32);
        assertThat(json.at("/calibration/description").asText()).isEqualTo("random ids");
        assertThat(json.at("/calibration/tokens").asLong()).isEqualTo(6 * 32);
        assertThat(json.at("/calibration/tokens_sha256").asText()).matches("[0-9a-f]{64}");
        assertThat(json.at("/layers/1/linears/3/name").asText()).isEqualTo("model.layers.1.self_attn.o_proj");
        assertThat(json.at("/layers/1/linears/3/relative_error").isNumber()).isTrue();
        assertThat(json.at("/layers/1/linears/3/rtn_relative_error").isNumber()).isTrue();
        assertThat(json.at("/layers/1/pairs/1/pair").asText()).isEqualTo("v_proj -> o_proj");
        assertThat(json.at("/layers/1/pairs/1/final_loss").isNumber()).isTrue();
        assertThat(json.has("times")).as("wall times in the file").isFalse();
        assertThat(report.toJson().at("/times/stage_seconds/forward").isNumber())
                .isTrue();
    }

    @Test
    void an_input_that_is_quantized_already_is_refused() throws IOException {
        Path once = temp.resolve("once");
        quantize(RandomCheckpoint.write(temp.resolve("in")), once, options(Method.RTN, 32, 1));
        assertThatThrownBy(() -> quantize(once, temp.resolve("twice"), options(Method.RTN, 32, 1)))
                .isInstanceOf(BadCheckpointException.class)
                .hasMessageContaining("quantized already");
        assertNothingBut("in", "once");
    }

    @Test
    void shapes_that_do_not_fit_are_refused_by_name() throws IOException {
        Path source = RandomCheckpoint.write(temp.resolve("in"));
        assertThatThrownBy(() -> quantize(source, temp.resolve("out"), options(Method.AWQ, 128, 1)))
                .isInstanceOf(BadCheckpointException.class)
                .hasMessageContaining("q_proj.weight")
                .hasMessageContaining("64")
                .hasMessageContaining("128");
        assertNothingBut("in");
    }

    @ParameterizedTest
    @CsvSource({
        "model.layers.1.mlp.up_proj.weight, 32256",
        "model.layers.0.self_attn.k_proj.weight, 31744",
        "model.layers.1.input_layernorm.weight, 32256",
        "lm_head.weight, 31744"
    })
    void a_weight_that_is_not_finite_is_named_and_nothing_is_left(String tensor, short bits) throws IOException {
        Path source = RandomCheckpoint.write(temp.resolve("in"), Map.of(tensor, bits));
        for (Method method : Method.values()) {
            assertThatThrownBy(() -> quantize(source, temp.resolve("out"), options(method, 32, 1)))
                    .isInstanceOf(BadCheckpointException.class)
                    .hasMessageContaining(tensor)
                    .hasMessageContaining("5]");
            assertNothingBut("in");
        }
    }

    @Test
    void an_occupied_output_folder_is_refused_and_left_as_it_is() throws IOException {
        Path source = RandomCheckpoint.write(temp.resolve("in"));
        Path out = Files.createDirectory(temp.resolve("out"));
        Files.writeString(out.resolve("mine"), "kept");
        assertThatThrownBy(() -> quantize(source, out, options(Method.RTN, 32, 1)))
                .isInstanceOf(OutputException.class)
                .hasMessageContaining("out");
        assertThat(out).isDirectoryContaining("glob:**mine");
        assertNothingBut("in", "out");
    }

    private void assertNothingBut(String... names) throws IOException {
        try (Stream<Path> files = Files.list(temp)) {
            assertThat(files.map(path -> path.getFileName().toString()).sorted().toList())
                    .containsExactly(names);
        }
    }

    private static Map<String, String> contents(Path folder) throws IOException {
        Map<String, String> contents = new TreeMap<>();
        try (Stream<Path> files = Files.list(folder)) {
            for (Path file : files.toList()) {
                contents.put(file.getFileName().toString(), HexFormat.of().formatHex(Files.readAllBytes(file)));
            }
        }
        assertThat(contents).hasSizeGreaterThan(4);
        return contents;
    }
}
