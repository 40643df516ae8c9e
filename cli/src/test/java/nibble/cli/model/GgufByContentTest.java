package nibble.cli.model;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import nibble.cli.TerminalCapture;
import nibble.cli.terminal.ExitCode;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** A GGUF file is told by its first bytes, in every command, and so is one that nothing can be done with. */
class GgufByContentTest {
    private static final String MODEL = Path.of(System.getProperty("nibble.root", ".."))
            .toAbsolutePath()
            .normalize()
            .resolve("models/wiki-7m")
            .toString();

    @TempDir
    @SuppressWarnings("NullAway.Init")
    private static Path shared;

    @TempDir
    @SuppressWarnings("NullAway.Init")
    private Path folder;

    @BeforeAll
    static void writeOnce() {
        TerminalCapture convert = new TerminalCapture();
        assertThat(convert.run(
                        "convert", MODEL, shared.resolve("gguf").toString(), "--format", "gguf", "--type", "Q4_0"))
                .as(convert.err())
                .isEqualTo(ExitCode.DONE);
    }

    private static Path file() {
        return shared.resolve("gguf/wiki-7m-Q4_0.gguf");
    }

    private static TerminalCapture run(int exit, String... command) {
        TerminalCapture terminal = new TerminalCapture();
        assertThat(terminal.run(command)).as(terminal.out() + terminal.err()).isEqualTo(exit);
        return terminal;
    }

    @ParameterizedTest
    @ValueSource(strings = {"model", "wiki.q4", "WIKI.GGUF", "0a1b2c.bin"})
    void a_folder_with_a_gguf_file_of_any_name_is_that_model(String name) throws IOException {
        Files.copy(file(), folder.resolve(name));
        Files.writeString(folder.resolve("README"), "The model.");
        String model = folder.toString();
        assertThat(run(ExitCode.DONE, "inspect", model).out()).contains("GGUF Q4_0");
        assertThat(run(ExitCode.DONE, "verify", model).out()).contains(name, "0 errors");
        assertThat(run(ExitCode.DONE, "card", model, "--repo", "a/b", "--print").out())
                .contains(name);
        run(ExitCode.DONE, "generate", model, "--prompt", "The", "--max-new-tokens", "1");
    }

    @Test
    void a_gguf_file_of_another_architecture_is_not_yet_supported_in_every_command() throws IOException {
        byte[] bytes = Files.readAllBytes(file());
        byte[] known = "llama".getBytes(StandardCharsets.ISO_8859_1);
        int at = new String(bytes, 0, 200, StandardCharsets.ISO_8859_1).indexOf("llama");
        System.arraycopy("gemmx".getBytes(StandardCharsets.ISO_8859_1), 0, bytes, at, known.length);
        Path file = Files.write(folder.resolve("other.gguf"), bytes);
        String out = folder.resolve("out").toString();
        for (String model : new String[] {file.toString(), folder.toString()}) {
            for (String[] command : new String[][] {
                {"quantize", model, out},
                {"eval", "perplexity", model},
                {"eval", "tasks", model, "--tasks", "arc_easy", "--limit", "1"},
                {"eval", "mt-bench", model, "--output", out + ".jsonl"},
                {"generate", model, "--prompt", "hi", "--template", "model"},
                {"convert", model, out, "--format", "safetensors"},
                {"card", model, "--repo", "a/b", "--print"},
                {"publish", model, "--repo", "a/b", "--dry-run"},
                {"plan", model},
                {"tokenize", model, "--prompt", "hi"}
            }) {
                assertThat(run(ExitCode.BAD_INPUT, command).err())
                        .as(String.join(" ", command))
                        .contains("architecture \"gemmx\" is not yet supported; supported: llama");
            }
            for (String command : new String[] {"inspect", "verify"}) {
                assertThat(run(ExitCode.DONE, command, model).out())
                        .as(command)
                        .contains("architecture \"gemmx\" is not yet supported");
            }
        }
        assertThat(Path.of(out)).doesNotExist();
    }
}
