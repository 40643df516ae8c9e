package nibble.embedding;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.SortedMap;
import nibble.calibrate.job.ProgressListener;
import nibble.calibrate.job.QuantizationReport;
import nibble.checkpoint.Checkpoint;
import nibble.checkpoint.model.quantization.QuantizedFormat;
import nibble.checkpoint.source.RepositoryFiles;
import nibble.checkpoint.tensor.DType;
import nibble.cli.SmallModel;
import nibble.convert.ConversionReport;
import nibble.files.output.StopSignal;
import nibble.files.output.StoppedException;
import nibble.hub.FakeHub;
import nibble.hub.PublishResult;
import nibble.hub.client.HubSettings;
import nibble.hub.client.RepoName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Runs the examples of docs/embedding.md on the bundled model. */
class EmbeddingExamplesTest {
    private static final Path MODEL = Path.of(System.getProperty("nibble.root"), "models", "wiki-7m");

    @TempDir
    @SuppressWarnings("NullAway.Init")
    private Path folder;

    @Test
    void a_stopped_quantization_is_resumed_by_the_same_call_and_the_output_is_bit_identical() throws IOException {
        Path model = twoLayers();
        Path whole = folder.resolve("whole");
        QuantizationReport report =
                EmbeddingExamples.quantize(model, whole, 2, EmbeddingExamples.printing(), new StopSignal());
        assertThat(report.layers()).hasSize(2);

        Path out = folder.resolve("out");
        StopSignal stop = new StopSignal();
        ProgressListener stopping = new ProgressListener() {
            @Override
            public void layerFinished(int layer, QuantizationReport.Layer linears, double seconds) {
                stop.raise();
            }
        };
        assertThatThrownBy(() -> EmbeddingExamples.quantize(model, out, 2, stopping, stop))
                .isInstanceOf(StoppedException.class);
        assertThat(out).doesNotExist();

        List<String> told = new ArrayList<>();
        ProgressListener listening = new ProgressListener() {
            @Override
            public void note(String text) {
                told.add(text);
            }
        };
        EmbeddingExamples.quantize(model, out, 2, listening, new StopSignal());

        assertThat(told).anyMatch(text -> text.equals("resuming after layer 1 of 2"));
        SortedMap<String, Path> files = RepositoryFiles.list(whole);
        assertThat(RepositoryFiles.list(out).keySet()).isEqualTo(files.keySet());
        for (String file : files.keySet()) {
            assertThat(out.resolve(file)).hasSameBinaryContentAs(whole.resolve(file));
        }
        try (Checkpoint made = Checkpoint.open(out)) {
            assertThat(made.config().quantization().orElseThrow().format()).isEqualTo(QuantizedFormat.AWQ_GEMM);
        }
    }

    /** Random weights with the bundled model's tokenizer. */
    private Path twoLayers() throws IOException {
        Path model = SmallModel.write(
                folder.resolve("two-layers"),
                128,
                256,
                4096,
                config -> config.put("num_hidden_layers", 2)
                        .put("num_attention_heads", 2)
                        .put("head_dim", 64));
        Files.copy(MODEL.resolve("tokenizer.json"), model.resolve("tokenizer.json"));
        return model;
    }

    /** transformers 5.17 in fp32: 23.1963 for the first four windows of 256 tokens. */
    @Test
    void perplexity_is_that_of_transformers() {
        assertThat(EmbeddingExamples.perplexity(MODEL, 256, 4).perplexity()).isCloseTo(23.1963, within(0.005));
    }

    /** transformers 5.17 continues so, greedily. */
    @Test
    void text_comes_in_pieces_that_join_to_what_transformers_writes() {
        List<String> pieces = new ArrayList<>();
        EmbeddingExamples.generate(MODEL, "The city of", 12, pieces::add);
        assertThat(String.join("", pieces)).isEqualTo(" the city, the city's 2000");
        assertThat(pieces).hasSizeGreaterThan(5);
    }

    @Test
    void a_gguf_file_is_made_and_its_weights_come_back_as_fp16() throws IOException {
        List<Double> fractions = new ArrayList<>();
        Path gguf = folder.resolve("gguf");
        ConversionReport made = EmbeddingExamples.toGguf(MODEL, gguf, fractions::add);
        assertThat(made.to()).isEqualTo("GGUF Q4_K_M");
        assertThat(fractions).isNotEmpty().isSorted().last().isEqualTo(1.0);
        assertThat(RepositoryFiles.list(gguf)).containsOnlyKeys("wiki-7m-Q4_K_M.gguf");

        Path back = folder.resolve("safetensors");
        ConversionReport dense =
                EmbeddingExamples.toSafetensors(gguf.resolve("wiki-7m-Q4_K_M.gguf"), back, fraction -> {});
        assertThat(dense.to()).contains("F16");
        // Norms are kept exactly, so they show that the way there and back names and orders tensors as they were.
        String norm = "model.layers.5.post_attention_layernorm.weight";
        try (Checkpoint original = Checkpoint.open(MODEL);
                Checkpoint converted = Checkpoint.open(back)) {
            assertThat(converted.names()).containsExactlyInAnyOrderElementsOf(original.names());
            assertThat(converted.tensor(norm).dtype()).isEqualTo(DType.F16);
            assertThat(converted
                            .tensor(norm)
                            .data()
                            .mismatch(original.tensor(norm).data()))
                    .isEqualTo(-1);
        }
    }

    @Test
    void a_model_is_published_with_a_card_and_downloaded_by_its_name() throws IOException {
        Path model = folder.resolve("model");
        EmbeddingExamples.toSafetensors(MODEL, model, fraction -> {});
        try (FakeHub hub = new FakeHub()) {
            Map<String, String> environment = Map.of("HF_ENDPOINT", hub.endpoint());
            HubSettings settings = EmbeddingExamples.settings(environment, folder, Optional.of(FakeHub.TOKEN));
            PublishResult published = EmbeddingExamples.publish(model, RepoName.parse("me/wiki-7m"), settings);

            assertThat(published.committed()).isTrue();
            assertThat(new String(hub.content("me/wiki-7m", "main", "README.md"), StandardCharsets.UTF_8))
                    .contains("me/wiki-7m");

            Path downloaded = EmbeddingExamples.download("me/wiki-7m", settings);
            assertThat(RepositoryFiles.list(model)).containsKeys("model.safetensors", "tokenizer.json", "README.md");
            for (String file : RepositoryFiles.list(model).keySet()) {
                assertThat(downloaded.resolve(file)).hasSameBinaryContentAs(model.resolve(file));
            }
        }
    }
}
