package nibble.cli;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import nibble.convert.RepositoryFiles;
import nibble.convert.hub.FakeHub;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Publish, download, and a hub's name in place of a folder, as a person would type them. */
class HubCommandsTest {
    private static final Path MODEL = Path.of(System.getProperty("nibble.root"), "models", "wiki-7m");

    @TempDir
    @SuppressWarnings("NullAway.Init")
    private Path temp;

    @SuppressWarnings("NullAway.Init")
    private FakeHub hub;

    @BeforeEach
    void start() throws IOException {
        hub = new FakeHub();
    }

    @AfterEach
    void stop() {
        hub.close();
    }

    private TerminalCapture terminal(String... more) {
        Map<String, String> environment = new java.util.HashMap<>(
                Map.of("HF_ENDPOINT", hub.endpoint(), "HF_TOKEN", FakeHub.TOKEN, "HF_HOME", temp.resolve("home").toString()));
        for (int i = 0; i < more.length; i += 2) {
            environment.put(more[i], more[i + 1]);
        }
        return new TerminalCapture(environment, "");
    }

    @Test
    void a_published_model_is_downloaded_and_used_by_its_name_then_offline() throws IOException {
        TerminalCapture publish = terminal();
        assertThat(publish.run("publish", MODEL.toString(), "--repo", "me/wiki-7m", "--private"))
                .as(publish.err())
                .isEqualTo(ExitCode.DONE);
        assertThat(publish.out()).contains("new repository", "model-00003-of-00003.safetensors");
        assertThat(publish.err()).contains("chat template").doesNotContain(FakeHub.TOKEN);
        for (String path : RepositoryFiles.list(MODEL).keySet()) {
            assertThat(hub.content("me/wiki-7m", "main", path)).as(path).isEqualTo(Files.readAllBytes(MODEL.resolve(path)));
        }

        TerminalCapture download = terminal();
        assertThat(download.run("download", "me/wiki-7m")).as(download.err()).isEqualTo(ExitCode.DONE);
        Path folder = Path.of(download.out().strip());
        assertThat(folder.resolve("config.json")).hasSameBinaryContentAs(MODEL.resolve("config.json"));

        TerminalCapture inspect = terminal("HF_HUB_OFFLINE", "1");
        assertThat(inspect.run("inspect", "me/wiki-7m", "--json", "-")).as(inspect.err()).isEqualTo(ExitCode.DONE);
        JsonNode found = new ObjectMapper().readTree(inspect.out());
        assertThat(found.get("tensor_bytes").asLong()).isEqualTo(13_638_144);

        TerminalCapture generate = terminal();
        assertThat(generate.run("generate", "me/wiki-7m@main", "--prompt", "The", "--max-new-tokens", "2"))
                .as(generate.err())
                .isEqualTo(ExitCode.DONE);
    }

    @Test
    void a_quantized_model_is_published_with_a_card_whose_figures_were_measured() throws IOException {
        Path out = temp.resolve("awq");
        assertThat(terminal().run("quantize", MODEL.toString(), out.toString(), "--method", "rtn")).isEqualTo(ExitCode.DONE);
        Path eval = temp.resolve("eval.json");
        assertThat(terminal().run("eval", "perplexity", out.toString(), "--context", "256", "--windows", "2", "--json", eval.toString()))
                .isEqualTo(ExitCode.DONE);
        String measured = String.format(java.util.Locale.ROOT, "%.4f", new ObjectMapper().readTree(eval.toFile()).get("perplexity").asDouble());

        TerminalCapture publish = terminal();
        assertThat(publish.run("publish", out.toString(), "--repo", "org/wiki-7m-AWQ", "--branch", "awq-128g", "--base-model",
                        "org/wiki-7m", "--license", "cc-by-sa-4.0", "--eval", eval.toString(), "--prompt-template", "chatml"))
                .as(publish.err())
                .isEqualTo(ExitCode.DONE);

        String card = new String(hub.content("org/wiki-7m-AWQ", "awq-128g", "README.md"), java.nio.charset.StandardCharsets.UTF_8);
        assertThat(card)
                .contains("license: \"cc-by-sa-4.0\"", "| not measured | " + measured + " |", "<|im_start|>user\n{prompt}<|im_end|>")
                .contains("--revision awq-128g", "| awq-128g | 4 | 128 | none |");

        TerminalCapture again = terminal();
        assertThat(again.run("card", out.toString(), "--repo", "org/wiki-7m-AWQ")).isEqualTo(ExitCode.WRONG_USAGE);
        assertThat(again.err()).contains("--force");
        TerminalCapture missing = terminal();
        assertThat(missing.run("card", out.toString(), "--repo", "o/n", "--print", "--eval", "nothing.json")).isEqualTo(ExitCode.BAD_INPUT);
    }

    @Test
    void a_dry_run_sends_nothing() {
        TerminalCapture dry = terminal();
        assertThat(dry.run("publish", MODEL.toString(), "--repo", "me/wiki-7m", "--dry-run")).isEqualTo(ExitCode.DONE);
        assertThat(dry.out()).contains("would be", "dry run: nothing was sent");
        assertThat(hub.seen()).allMatch(request -> request.method().equals("GET"));
    }

    @Test
    void a_folder_with_errors_is_not_published() throws IOException {
        Path broken = Files.createDirectory(temp.resolve("broken"));
        Files.copy(MODEL.resolve("config.json"), broken.resolve("config.json"));
        TerminalCapture publish = terminal();
        assertThat(publish.run("publish", broken.toString(), "--repo", "me/x")).isEqualTo(ExitCode.BAD_INPUT);
        assertThat(publish.err()).contains("error [", "nothing was sent");
        assertThat(hub.seen()).isEmpty();
    }

    @Test
    void what_the_hub_refuses_is_exit_code_5() {
        TerminalCapture wrong = terminal("HF_TOKEN", "hf_WRONG");
        assertThat(wrong.run("publish", MODEL.toString(), "--repo", "me/x")).isEqualTo(ExitCode.NETWORK_OR_HUB);
        assertThat(wrong.err()).contains("HTTP 401").doesNotContain("WRONG", "\tat ");
        TerminalCapture none = terminal();
        assertThat(none.run("inspect", "me/nothing")).isEqualTo(ExitCode.NETWORK_OR_HUB);
        assertThat(none.err()).contains("me/nothing: no such folder, and no such repository");
        TerminalCapture offline = terminal("HF_HUB_OFFLINE", "1");
        assertThat(offline.run("plan", "me/nothing")).isEqualTo(ExitCode.NETWORK_OR_HUB);
    }

    @Test
    void names_that_are_none_are_wrong_usage() {
        assertThat(terminal().run("publish", MODEL.toString(), "--repo", "a/b/c")).isEqualTo(ExitCode.WRONG_USAGE);
        assertThat(terminal().run("publish", MODEL.toString(), "--repo", "a/b", "--branch", "../x")).isEqualTo(ExitCode.WRONG_USAGE);
        assertThat(terminal().run("download", "name")).isEqualTo(ExitCode.WRONG_USAGE);
        assertThat(hub.seen()).isEmpty();
    }
}
