package nibble.cli.command;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.stream.Stream;
import nibble.cli.TerminalCapture;
import nibble.cli.terminal.ExitCode;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** {@code nibble verify} on the bundled model. */
class VerifyCommandTest {
    private static final Path MODEL = Path.of(System.getProperty("nibble.root"), "models", "wiki-7m");

    @TempDir
    @SuppressWarnings("NullAway.Init")
    private Path folder;

    private final TerminalCapture terminal = new TerminalCapture();

    @Test
    void the_bundled_model_is_good_and_its_files_are_listed() throws IOException {
        assertThat(terminal.run("verify", MODEL.toString(), "--json", "-"))
                .as(terminal.err())
                .isEqualTo(ExitCode.DONE);
        JsonNode report = new ObjectMapper().readTree(terminal.out());
        assertThat(report.get("ok").asBoolean()).isTrue();
        assertThat(report.get("errors").asInt()).isZero();
        assertThat(report.get("findings").findValuesAsText("check")).containsExactly("chat-template");
        assertThat(report.get("files").findValuesAsText("path")).contains("model-00003-of-00003.safetensors");
        assertThat(report.get("files").get(0).get("sha256").asText()).hasSize(64);
    }

    @Test
    void a_file_that_changed_after_its_checksum_was_written_is_bad_input() throws IOException {
        Path copy = Files.createDirectory(folder.resolve("model"));
        try (Stream<Path> files = Files.list(MODEL)) {
            for (Path file : files.toList()) {
                Files.copy(file, copy.resolve(file.getFileName()));
            }
        }
        assertThat(terminal.run("verify", copy.toString(), "--write-checksums")).isEqualTo(ExitCode.DONE);
        assertThat(copy.resolve("SHA256SUMS")).content().contains("  tokenizer.json\n");
        Files.writeString(copy.resolve("generation_config.json"), "{}");

        TerminalCapture again = new TerminalCapture();
        assertThat(again.run("verify", copy.toString())).isEqualTo(ExitCode.BAD_INPUT);
        assertThat(again.out()).contains("error [sha256]", "generation_config.json", "1 errors, 1 warnings");
    }

    @Test
    void no_folder_is_bad_input() {
        assertThat(terminal.run("verify", folder.resolve("nothing").toString())).isEqualTo(ExitCode.BAD_INPUT);
        assertThat(terminal.err()).contains("nothing", "check the path");
    }
}
