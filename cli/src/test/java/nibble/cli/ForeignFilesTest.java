package nibble.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;
import nibble.cli.terminal.ExitCode;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** What clones and downloads leave in the place of a file is named as what it is, whichever file and command. */
class ForeignFilesTest {
    private static final Path BUNDLED = Path.of(System.getProperty("nibble.root"), "models", "wiki-7m");
    private static final String POINTER = "version https://git-lfs.github.com/spec/v1\n"
            + "oid sha256:5e1a9f1a3bd1a1c8a3f7b6b3f2a45a5a1c1a4f8d6c0f9b0f7e4f0d8c2b1a9e77\nsize 499723\n";
    private static final String PAGE = "<!DOCTYPE html>\n<html lang=\"en\"><head><title>Log in</title></head></html>\n";

    @TempDir
    @SuppressWarnings("NullAway.Init")
    private Path folder;

    private Path model() throws IOException {
        Path model = Files.createDirectory(folder.resolve("model"));
        try (Stream<Path> files = Files.list(BUNDLED)) {
            for (Path file : files.toList()) {
                Files.copy(file, model.resolve(file.getFileName()));
            }
        }
        Files.writeString(model.resolve("generation_config.json"), "{\"eos_token_id\": 2}");
        Files.writeString(model.resolve("chat_template.jinja"), "{{ messages[0]['content'] }}");
        Files.writeString(model.resolve("LICENSE"), "Apache License");
        return model;
    }

    private static void refused(Path file, List<String> words, String... command) {
        TerminalCapture terminal = new TerminalCapture();
        assertThat(terminal.run(command))
                .as("%s%n%s%s", List.of(command), terminal.err(), terminal.out())
                .isEqualTo(ExitCode.BAD_INPUT);
        assertThat(terminal.err() + terminal.out())
                .contains(words)
                .contains(file.toString())
                .doesNotContain("\tat ", "Exception", "java.", "com.fasterxml");
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "config.json", "model.safetensors.index.json", "model-00002-of-00003.safetensors", "tokenizer.json",
                "tokenizer.model", "tokenizer_config.json", "special_tokens_map.json", "generation_config.json",
                "chat_template.jinja", "LICENSE"
            })
    void a_pointer_of_Git_LFS_in_place_of_any_file_passes_neither_quantize_convert_nor_verify(String name)
            throws IOException {
        Path model = model();
        Path file = Files.writeString(model.resolve(name), POINTER);
        List<String> words =
                List.of("Git LFS pointer, not the file of 499,723 bytes", "git lfs pull", "nibble download");
        String out = folder.resolve("out").toString();
        refused(file, words, "quantize", model.toString(), out, "--method", "rtn");
        refused(file, words, "convert", model.toString(), out, "--to", "safetensors");
        refused(file, words, "verify", model.toString());
        try (Stream<Path> left = Files.list(folder)) {
            assertThat(left).containsExactly(model);
        }
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "config.json",
                "model-00001-of-00003.safetensors",
                "tokenizer.json",
                "tokenizer_config.json",
                "chat_template.jinja"
            })
    void a_web_page_an_empty_file_and_a_folder_in_place_of_a_file_are_named(String name) throws IOException {
        Path model = model();
        Path file = Files.writeString(model.resolve(name), PAGE);
        refused(file, List.of("is a web page, not the file"), "verify", model.toString());
        Files.writeString(file, "");
        refused(
                file,
                List.of("is empty (0 bytes)"),
                "quantize",
                model.toString(),
                folder.resolve("out").toString(),
                "--method",
                "rtn");
        Files.delete(file);
        Files.createSymbolicLink(file, Path.of("../../blobs/none"));
        refused(
                file,
                List.of("is a link to ../../blobs/none, which is not there"),
                "quantize",
                model.toString(),
                folder.resolve("out").toString(),
                "--method",
                "rtn");
        Files.delete(file);
        Files.createDirectory(file);
        refused(
                file,
                List.of("is a folder, expected a file"),
                "quantize",
                model.toString(),
                folder.resolve("out").toString(),
                "--method",
                "rtn");
    }

    @Test
    void what_generation_reads_is_looked_at_too() throws IOException {
        for (String name : List.of("tokenizer.json", "tokenizer_config.json", "generation_config.json")) {
            Path model = model();
            Path file = Files.writeString(model.resolve(name), POINTER);
            refused(
                    file,
                    List.of("git lfs pull"),
                    "generate",
                    model.toString(),
                    "--prompt",
                    "The",
                    "--max-new-tokens",
                    "1");
            deleteAll(model);
        }
        Path model = model();
        Path template = Files.writeString(model.resolve("chat_template.jinja"), POINTER);
        refused(
                template,
                List.of("git lfs pull"),
                "generate",
                model.toString(),
                "--prompt",
                "The",
                "--template",
                "model");
    }

    @Test
    void weights_of_other_formats_are_looked_at_too() throws IOException {
        Path gguf = Files.writeString(folder.resolve("model-Q4_0.gguf"), POINTER);
        refused(gguf, List.of("git lfs pull"), "inspect", gguf.toString());
        Files.writeString(gguf, PAGE);
        refused(gguf, List.of("is a web page"), "eval", "perplexity", gguf.toString());
        Files.write(gguf, new byte[] {0x1f, (byte) 0x8b, 8, 0, 0, 0, 0, 0});
        refused(gguf, List.of("compressed by gzip", "decompress it"), "inspect", gguf.toString());

        Path torch = Files.createDirectory(folder.resolve("torch"));
        Files.copy(BUNDLED.resolve("config.json"), torch.resolve("config.json"));
        Path bin = Files.writeString(torch.resolve("pytorch_model.bin"), POINTER);
        refused(bin, List.of("git lfs pull"), "inspect", torch.toString());

        Path meta = Files.createDirectory(folder.resolve("meta"));
        Path part = Files.writeString(meta.resolve("consolidated.00.pth"), POINTER);
        Path params = Files.writeString(meta.resolve("params.json"), POINTER);
        refused(params, List.of("git lfs pull"), "inspect", meta.toString());
        Files.writeString(
                params, "{\"dim\": 8, \"n_layers\": 1, \"n_heads\": 1, \"norm_eps\": 1e-5, \"vocab_size\": 8}");
        refused(part, List.of("git lfs pull"), "inspect", meta.toString());

        Path imatrix = Files.writeString(folder.resolve("imatrix.dat"), POINTER);
        refused(
                imatrix,
                List.of("git lfs pull"),
                "convert",
                BUNDLED.toString(),
                folder.resolve("out").toString(),
                "--to",
                "gguf",
                "--type",
                "Q4_0",
                "--importance",
                imatrix.toString());
    }

    @Test
    void texts_data_and_reports_are_looked_at_too() throws IOException {
        Path file = Files.writeString(folder.resolve("a.json"), POINTER);
        String model = BUNDLED.toString();
        refused(
                file,
                List.of("git lfs pull"),
                "quantize",
                model,
                folder.resolve("out").toString(),
                "--calibration",
                file.toString());
        refused(file, List.of("git lfs pull"), "eval", "perplexity", model, "--dataset", file.toString());
        refused(file, List.of("git lfs pull"), "eval", "report", file.toString(), "--markdown", "-");
        refused(
                file,
                List.of("git lfs pull"),
                "eval",
                "mt-bench",
                model,
                "--template",
                "vicuna",
                "--questions",
                file.toString(),
                "--output",
                folder.resolve("answers").toString());
    }

    private static void deleteAll(Path model) throws IOException {
        try (Stream<Path> files = Files.list(model)) {
            for (Path file : files.toList()) {
                Files.delete(file);
            }
        }
        Files.delete(model);
    }
}
