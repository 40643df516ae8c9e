package nibble.cli.command;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import nibble.cli.SmallModel;
import nibble.cli.TerminalCapture;
import nibble.cli.terminal.ExitCode;
import nibble.hub.card.CardForm;
import nibble.hub.card.ModelCard;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/**
 * Every format that Nibble writes: made, verified, published with a card that says what it is, downloaded, verified,
 * measured.
 */
class PublishedFormatsTest extends HubCase {
    /** Short, since every command encodes it anew. */
    private static final String TEXT =
            Path.of(System.getProperty("nibble.root"), "LICENSE").toString();

    @SuppressWarnings("NullAway.Init")
    private Path model;

    @BeforeEach
    void makeModel() throws IOException {
        model = SmallModel.ofLayers(temp.resolve("wiki-7m"), 2, 128);
    }

    private TerminalCapture run(int expected, String... arguments) {
        TerminalCapture terminal = terminal();
        assertThat(terminal.run(arguments))
                .as("%s%n%s%n%s", String.join(" ", arguments), terminal.out(), terminal.err())
                .isEqualTo(expected);
        return terminal;
    }

    private double perplexity(Path model) throws IOException {
        TerminalCapture eval = run(
                ExitCode.DONE,
                "eval",
                "perplexity",
                model.toString(),
                "--dataset",
                TEXT,
                "--context",
                "128",
                "--windows",
                "1",
                "--json",
                "-");
        return new ObjectMapper().readTree(eval.out()).get("perplexity").asDouble();
    }

    private Path publishedAndDownloaded(Path made, String repo) {
        run(ExitCode.DONE, "verify", made.toString());
        run(
                ExitCode.DONE,
                "publish",
                made.toString(),
                "--repo",
                repo,
                "--base-model",
                "org/wiki-7m",
                "--license",
                "apache-2.0");
        Path folder = Path.of(run(ExitCode.DONE, "download", repo).out().strip());
        run(ExitCode.DONE, "verify", folder.toString(), "--against", model.toString());
        return folder;
    }

    private Map<String, Object> card(String repo, String title) throws IOException {
        String text = new String(hub.content(repo, "main", "README.md"), StandardCharsets.UTF_8);
        assertThat(text).contains("\n# wiki-7m - " + title + "\n").doesNotContain("{{", "{%", "null", "inference");
        CardForm.requireWellFormed(text);
        Map<String, Object> metadata = ModelCard.metadata(Files.writeString(temp.resolve("card.md"), text));
        assertThat(metadata)
                .containsEntry("base_model", "org/wiki-7m")
                .containsEntry("base_model_relation", "quantized")
                .containsEntry("license", "apache-2.0")
                .containsEntry("pipeline_tag", "text-generation");
        return metadata;
    }

    @ParameterizedTest(name = "{1} {0}")
    @CsvSource({
        "awq, awq, AWQ, awq;autoawq;vllm;4-bit;llama;nibble",
        "awq, best, AWQ, awq;autoawq;vllm;4-bit;llama;nibble",
        "awq, rtn, 4-bit by plain rounding, autoawq;rtn;vllm;4-bit;llama;nibble",
        "gptq, rtn, '4-bit, GPTQ format', gptq;gptqmodel;rtn;vllm;4-bit;llama;nibble",
        "gptq, rtn --asymmetric, '4-bit, GPTQ format', gptq;gptqmodel;rtn;4-bit;llama;nibble",
        "compressed-tensors, rtn, '4-bit, compressed-tensors', compressed-tensors;rtn;vllm;4-bit;llama;nibble",
    })
    void a_4_bit_model_comes_back_as_it_left(String format, String method, String title, String tags)
            throws IOException {
        Path made = temp.resolve("made");
        List<String> calibration = method.startsWith("rtn")
                ? List.of()
                : List.of("--calibration", TEXT, "--samples", "1", "--seq-len", "64");
        List<String> command = new java.util.ArrayList<>(
                List.of("quantize", model.toString(), made.toString(), "--format", format, "--method"));
        command.addAll(List.of(method.split(" ")));
        command.addAll(calibration);
        TerminalCapture quantize = run(ExitCode.DONE, command.toArray(String[]::new));
        assertThat(quantize.err().contains("vLLM since 0.17 refuses GPTQ")).isEqualTo(method.contains("asymmetric"));

        Path back = publishedAndDownloaded(made, "org/wiki-7m-" + format);

        assertThat(perplexity(back)).isEqualTo(perplexity(made));
        assertThat(card("org/wiki-7m-" + format, title))
                .containsEntry("tags", List.of(tags.split(";")))
                .containsEntry("library_name", "transformers");
    }

    @ParameterizedTest(name = "parts of {0}")
    @CsvSource({"1GB, 1", "200KB, 3"})
    void a_gguf_model_comes_back_as_it_left(String size, int leastFiles) throws IOException {
        Path made = temp.resolve("made");
        run(
                ExitCode.DONE,
                "convert",
                model.toString(),
                made.toString(),
                "--to",
                "gguf",
                "--type",
                "Q8_0",
                "--max-shard-size",
                size);
        assertThat(made.toFile().list()).hasSizeGreaterThanOrEqualTo(leastFiles);

        Path back = publishedAndDownloaded(made, "org/wiki-7m-GGUF");

        assertThat(perplexity(back)).isEqualTo(perplexity(made));
        assertThat(card("org/wiki-7m-GGUF", "GGUF"))
                .containsEntry("tags", List.of("gguf", "llama.cpp", "llama", "nibble"))
                .containsEntry("library_name", "gguf");
    }

    @Test
    void the_name_of_a_model_of_the_hub_is_kept_in_the_report_and_the_card() throws IOException {
        run(ExitCode.DONE, "publish", model.toString(), "--repo", "org/wiki-7m");
        Path made = temp.resolve("made");
        run(ExitCode.DONE, "quantize", "org/wiki-7m", made.toString(), "--method", "rtn");
        JsonNode source = new ObjectMapper()
                .readTree(made.resolve("quantization_report.json").toFile())
                .get("source");
        assertThat(source.get("base_model").asText()).isEqualTo("org/wiki-7m");
        assertThat(source.get("revision").asText()).matches("[0-9a-f]{40}");

        Path gptq = temp.resolve("gptq");
        run(ExitCode.DONE, "convert", made.toString(), gptq.toString(), "--to", "gptq");
        String card = run(ExitCode.DONE, "card", gptq.toString(), "--repo", "me/x", "--print")
                .out();
        assertThat(card)
                .contains("base_model: \"org/wiki-7m\"\n", "# wiki-7m - 4-bit, GPTQ format", "About plain rounding");

        String local = run(ExitCode.DONE, "card", quantizedHere().toString(), "--repo", "me/x", "--print")
                .out();
        assertThat(local).doesNotContain("base_model", "wiki-7m");
    }

    private Path quantizedHere() {
        Path made = temp.resolve("here");
        run(ExitCode.DONE, "quantize", model.toString(), made.toString(), "--method", "rtn");
        return made;
    }

    @Test
    void gptq_of_the_first_version_is_refused_where_no_loader_takes_it_and_converts_that_many_refuse_say_so() {
        Path made = quantizedHere();
        TerminalCapture refused = run(
                ExitCode.WRONG_USAGE,
                "convert",
                made.toString(),
                temp.resolve("v1").toString(),
                "--to",
                "gptq-v1");
        assertThat(refused.err()).contains("GPTQModel rejects", "gptq, the second version", "compressed-tensors");
        assertThat(temp.resolve("v1")).doesNotExist();
        run(
                ExitCode.DONE,
                "convert",
                made.toString(),
                temp.resolve("v1").toString(),
                "--to",
                "gptq-v1",
                "--asymmetric-v1");
        TerminalCapture verify =
                run(ExitCode.BAD_INPUT, "verify", temp.resolve("v1").toString());
        assertThat(verify.out()).contains("GPTQModel rejects");
        TerminalCapture second = run(
                ExitCode.DONE, "convert", made.toString(), temp.resolve("v2").toString(), "--to", "gptq");
        assertThat(second.out()).contains("vLLM since 0.17 refuses", "compressed-tensors");
    }

    @Test
    void a_license_is_checked_before_anything_is_sent() {
        Path made = quantizedHere();
        TerminalCapture wrong = run(
                ExitCode.WRONG_USAGE, "publish", made.toString(), "--repo", "me/x", "--license", "Apache License 2.0");
        assertThat(wrong.err()).contains("--license other --license-name");
        run(ExitCode.WRONG_USAGE, "publish", made.toString(), "--repo", "me/x", "--license", "other");
        run(
                ExitCode.WRONG_USAGE,
                "publish",
                made.toString(),
                "--repo",
                "me/x",
                "--license",
                "mit",
                "--license-name",
                "x");
        assertThat(hub.seen()).allMatch(request -> request.method().equals("GET"));
    }
}
