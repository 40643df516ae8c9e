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
import org.junit.jupiter.api.condition.EnabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

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
        Path copy = copy("model");
        assertThat(terminal.run("verify", copy.toString(), "--write-checksums")).isEqualTo(ExitCode.DONE);
        assertThat(copy.resolve("SHA256SUMS")).content().contains("  tokenizer.json\n");
        Files.writeString(copy.resolve("generation_config.json"), "{}");

        TerminalCapture again = new TerminalCapture();
        assertThat(again.run("verify", copy.toString())).isEqualTo(ExitCode.BAD_INPUT);
        assertThat(again.out()).contains("error [sha256]", "generation_config.json", "1 errors, 1 warnings");
    }

    @Test
    void checksums_that_cannot_be_written_are_refused_before_anything_is_verified() throws IOException {
        Path copy = copy("model");
        Files.createDirectory(copy.resolve("SHA256SUMS"));
        assertThat(terminal.run("verify", copy.toString(), "--write-checksums")).isEqualTo(ExitCode.WRONG_USAGE);
        assertThat(terminal.err())
                .contains("--write-checksums " + copy.resolve("SHA256SUMS") + ": cannot be written: ")
                .doesNotContain("verifying");
    }

    /**
     * A link into this process's memory stands for a file that cannot be read; unlike one without rights it refuses
     * root too.
     */
    @Test
    @EnabledOnOs(OS.LINUX)
    void files_that_cannot_be_read_are_named_once_and_all_other_checks_are_made() throws IOException {
        Path copy = copy("model");
        assertThat(terminal.run("verify", copy.toString(), "--write-checksums")).isEqualTo(ExitCode.DONE);
        Files.writeString(copy.resolve("tokenizer_config.json"), "{\"a\": 1}");
        unreadable(copy.resolve("generation_config.json"));
        Files.delete(copy.resolve("special_tokens_map.json"));
        Files.createSymbolicLink(copy.resolve("special_tokens_map.json"), Path.of("nowhere"));
        Path inner = Files.createDirectory(copy.resolve("inner"));
        Files.createSymbolicLink(inner.resolve("loop"), inner);
        unreadable(copy.resolve("model-00002-of-00003.safetensors"));

        TerminalCapture found = new TerminalCapture();
        assertThat(found.run("verify", copy.toString())).as(found.err()).isEqualTo(ExitCode.BAD_INPUT);
        assertThat(found.out().lines().filter(line -> line.startsWith("error")))
                .satisfiesExactlyInAnyOrder(
                        line -> assertThat(line)
                                .contains("generation_config.json: cannot be read: Input/output error; check"),
                        line -> assertThat(line)
                                .contains("model-00002-of-00003.safetensors: cannot be read: Input/output error"),
                        line -> assertThat(line)
                                .contains("special_tokens_map.json: is a link to nowhere, which is not there"),
                        line -> assertThat(line).contains("loop: cannot be listed: a link in it leads back to it"),
                        line -> assertThat(line).contains("[sha256]", "tokenizer_config.json: SHA-256 is"));
        assertThat(found.out()).contains("model-00003-of-00003.safetensors  ", "special_tokens_map.json");
    }

    @ParameterizedTest
    @ValueSource(strings = {"nowhere", "/proc/self/mem"})
    @EnabledOnOs(OS.LINUX)
    void a_gguf_file_that_cannot_be_read_is_named_once_beside_one_that_can(String target) throws IOException {
        Path out = folder.resolve("gguf");
        assertThat(terminal.run("convert", MODEL.toString(), out.toString(), "--format", "gguf", "--type", "Q8_0"))
                .isEqualTo(ExitCode.DONE);
        Files.createSymbolicLink(out.resolve("other.gguf"), Path.of(target));
        TerminalCapture found = new TerminalCapture();
        assertThat(found.run("verify", out.toString())).as(found.err()).isEqualTo(ExitCode.BAD_INPUT);
        assertThat(found.out().lines().filter(line -> line.startsWith("error")))
                .singleElement()
                .asString()
                .contains("other.gguf: ", target.equals("nowhere") ? "which is not there" : "Input/output error");
        assertThat(found.out()).contains("wiki-7m-Q8_0.gguf  ");
    }

    private static void unreadable(Path file) throws IOException {
        Files.deleteIfExists(file);
        Files.createSymbolicLink(file, Path.of("/proc/self/mem"));
    }

    private Path copy(String name) throws IOException {
        Path copy = Files.createDirectory(folder.resolve(name));
        try (Stream<Path> files = Files.list(MODEL)) {
            for (Path file : files.toList()) {
                Files.copy(file, copy.resolve(file.getFileName()));
            }
        }
        return copy;
    }

    @Test
    void no_folder_is_bad_input() {
        assertThat(terminal.run("verify", folder.resolve("nothing").toString())).isEqualTo(ExitCode.BAD_INPUT);
        assertThat(terminal.err()).contains("nothing", "check the path");
    }
}
