package nibble.cli.command;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;
import nibble.cli.TerminalCapture;
import nibble.cli.terminal.ExitCode;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The bundled model and its rounded 4-bit form on the same requests, from measurement to report and card. */
class ComparisonCommandTest {
    private static final String MODEL =
            Path.of(System.getProperty("nibble.root"), "models", "wiki-7m").toString();

    @TempDir
    @SuppressWarnings("NullAway.Init")
    private Path folder;

    private TerminalCapture run(int code, String... arguments) {
        TerminalCapture terminal = new TerminalCapture();
        assertThat(terminal.run(arguments)).as(terminal.err()).isEqualTo(code);
        return terminal;
    }

    private String path(String name) {
        return folder.resolve(name).toString();
    }

    @Test
    void a_quantized_model_is_compared_reported_and_put_on_its_card() throws IOException {
        run(ExitCode.DONE, "quantize", MODEL, path("rtn"), "--method", "rtn", "--device", "cpu");
        TerminalCapture compared = run(
                ExitCode.DONE,
                "eval",
                "tasks",
                path("rtn"),
                "--baseline",
                MODEL,
                "--tasks",
                "openbookqa,piqa",
                "--limit",
                "12",
                "--divergence-windows",
                "1",
                "--device",
                "cpu",
                "--json",
                path("c.json"),
                "--html",
                path("c.html"),
                "--markdown",
                path("c.md"));
        assertThat(compared.out()).contains("against " + MODEL, "openbookqa", "flipped", "mean KL divergence");
        JsonNode json = new ObjectMapper().readTree(Files.readString(folder.resolve("c.json")));
        assertThat(json.path("schema").asText()).isEqualTo("nibble-eval-comparison-1");
        assertThat(json.path("baseline").path("tasks").get(0).path("documents")).hasSize(12);
        JsonNode divergence = json.path("divergence");
        assertThat(divergence.path("mean_kl").doubleValue())
                .as("rounding moves the distributions")
                .isBetween(0.01, 0.5);
        assertThat(divergence.path("baseline_perplexity").doubleValue())
                .isLessThan(divergence.path("perplexity").doubleValue());
        for (JsonNode difference : json.path("differences")) {
            assertThat(difference.path("difference").doubleValue())
                    .isCloseTo(
                            difference.path("model").doubleValue()
                                    - difference.path("baseline").doubleValue(),
                            within(1e-12));
        }
        try (Stream<Path> files = Files.list(folder)) {
            assertThat(files.map(f -> f.getFileName().toString()))
                    .containsExactlyInAnyOrder("rtn", "c.json", "c.html", "c.md");
        }

        String markdown = Files.readString(folder.resolve("c.md"));
        assertThat(run(ExitCode.DONE, "eval", "report", path("c.json"), "--markdown", "-")
                        .out())
                .isEqualTo(markdown);
        assertThat(run(ExitCode.DONE, "card", path("rtn"), "--repo", "me/rtn", "--eval", path("c.json"), "--print")
                        .out())
                .contains(
                        "| openbookqa | acc | lm-eval-0.4.13 | 0 | 12 (a first part) |",
                        "mean KL divergence from the original");
        run(
                ExitCode.BAD_INPUT,
                "eval",
                "report",
                path("c.json"),
                "--baseline",
                path("none.json"),
                "--html",
                path("x.html"));
        run(ExitCode.WRONG_USAGE, "eval", "report", path("c.json"));
        run(
                ExitCode.BAD_INPUT,
                "eval",
                "report",
                path("c.json"),
                "--baseline",
                path("c.json"),
                "--html",
                path("x.html"));
        assertThat(List.of(folder.resolve("x.html")))
                .allSatisfy(f -> assertThat(f).doesNotExist());
    }

    @Test
    void a_model_does_not_differ_from_itself() throws IOException {
        run(
                ExitCode.DONE,
                "eval",
                "tasks",
                MODEL,
                "--baseline",
                MODEL,
                "--tasks",
                "winogrande",
                "--limit",
                "5",
                "--num-fewshot",
                "0",
                "--divergence-windows",
                "0",
                "--device",
                "cpu",
                "--json",
                path("c.json"));
        JsonNode json = new ObjectMapper().readTree(Files.readString(folder.resolve("c.json")));
        assertThat(json.path("divergence").isMissingNode()).isTrue();
        JsonNode difference = json.path("differences").get(0);
        assertThat(difference.path("difference").doubleValue()).isZero();
        assertThat(difference.path("stderr").doubleValue()).isZero();
        assertThat(difference.path("flips").path("rate").doubleValue()).isZero();
    }
}
