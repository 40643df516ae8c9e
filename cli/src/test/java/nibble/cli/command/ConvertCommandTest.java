package nibble.cli.command;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import nibble.cli.TerminalCapture;
import nibble.cli.terminal.ExitCode;
import nibble.datasets.TextDataset;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** {@code nibble convert} on the bundled model: what comes out is measured, not only compared. */
class ConvertCommandTest {
    private static final Path MODEL = Path.of(System.getProperty("nibble.root"), "models", "wiki-7m");

    @TempDir
    @SuppressWarnings("NullAway.Init")
    private Path folder;

    @Test
    void every_4_bit_format_measures_the_same_and_converts_back_to_the_same_files() throws IOException {
        Path awq = folder.resolve("awq");
        done("quantize", MODEL.toString(), awq.toString(), "--method", "rtn");
        Path gptq = convert(awq, "gptq");
        Path compressed = convert(gptq, "compressed-tensors");
        Path dense = convert(compressed, "safetensors");
        Path back = folder.resolve("back");
        done("convert", compressed.toString(), back.toString(), "--format", "awq");

        assertThat(back.resolve("model.safetensors")).hasSameBinaryContentAs(awq.resolve("model.safetensors"));
        double expected = perplexity(awq);
        assertThat(expected).isBetween(20.0, 40.0);
        assertThat(perplexity(gptq)).isEqualTo(expected);
        assertThat(perplexity(compressed)).isEqualTo(expected);
        assertThat(perplexity(dense)).isEqualTo(expected);
    }

    @Test
    void gguf_measures_as_its_source_and_keeps_the_codes_of_a_4_bit_one() throws IOException {
        Path f16 = folder.resolve("f16");
        done("convert", MODEL.toString(), f16.toString(), "--format", "gguf", "--type", "F16");
        assertThat(perplexity(f16.resolve("wiki-7m-F16.gguf"))).isEqualTo(perplexity(MODEL));
        Path rtn = folder.resolve("rtn");
        done("quantize", MODEL.toString(), rtn.toString(), "--method", "rtn");
        Path exact = folder.resolve("exact");
        done("convert", rtn.toString(), exact.toString(), "--format", "gguf", "--type", "Q4_1");
        // Only the blocks' minima were rounded, to fp16.
        assertThat(perplexity(exact)).isCloseTo(perplexity(rtn), within(0.01));

        TerminalCapture terminal = new TerminalCapture();
        assertThat(terminal.run("convert", MODEL.toString(), f16.toString(), "--format", "gguf"))
                .isEqualTo(ExitCode.WRONG_USAGE);
        assertThat(terminal.err()).contains("--type", "Q4_K_M");
    }

    @Test
    void importance_of_a_text_makes_few_bits_better_and_is_the_same_from_its_file() throws IOException {
        Path plain = folder.resolve("plain");
        done("convert", MODEL.toString(), plain.toString(), "--format", "gguf", "--type", "Q2_K");
        Path measured = folder.resolve("measured");
        Path matrix = folder.resolve("importance.gguf");
        done(
                "convert",
                MODEL.toString(),
                measured.toString(),
                "--format",
                "gguf",
                "--type",
                "Q2_K",
                "--calibration",
                "wikitext2",
                "--samples",
                "4",
                "--save-importance",
                matrix.toString(),
                "--device",
                "cpu");
        Path read = folder.resolve("read");
        done(
                "convert",
                MODEL.toString(),
                read.toString(),
                "--format",
                "gguf",
                "--type",
                "Q2_K",
                "--importance",
                matrix.toString());
        String file = "wiki-7m-Q2_K.gguf";
        assertThat(read.resolve(file)).hasSameBinaryContentAs(measured.resolve(file));
        // 43.3 and 39.6 where this was written.
        assertThat(perplexity(measured, 2)).isLessThan(0.97 * perplexity(plain, 2));

        String out = folder.resolve("out").toString();
        for (String[] options : new String[][] {
            {"--format", "gguf", "--type", "F16", "--calibration", "wikitext2"},
            {"--format", "safetensors", "--importance", matrix.toString()},
            {"--format", "gguf", "--type", "Q2_K", "--save-importance", matrix.toString()},
            {"--format", "gguf", "--type", "Q2_K", "--importance", matrix.toString(), "--calibration", "wikitext2"}
        }) {
            TerminalCapture terminal = new TerminalCapture();
            String[] all = java.util.stream.Stream.concat(
                            java.util.stream.Stream.of("convert", MODEL.toString(), out),
                            java.util.Arrays.stream(options))
                    .toArray(String[]::new);
            assertThat(terminal.run(all)).as(String.join(" ", options)).isEqualTo(ExitCode.WRONG_USAGE);
        }
    }

    @Test
    void quantize_writes_each_format_as_convert_does() throws IOException {
        Path awq = folder.resolve("awq");
        done("quantize", MODEL.toString(), awq.toString(), "--method", "rtn");
        for (String format : new String[] {"gptq", "compressed-tensors"}) {
            Path converted = convert(awq, format);
            Path direct = folder.resolve("direct-" + format);
            done(
                    "quantize",
                    MODEL.toString(),
                    direct.toString(),
                    "--method",
                    "rtn",
                    "--format",
                    format,
                    "--asymmetric");
            for (String file : new String[] {"model.safetensors", "config.json"}) {
                assertThat(direct.resolve(file)).hasSameBinaryContentAs(converted.resolve(file));
            }
        }
        assertThat(new ObjectMapper()
                        .readTree(folder.resolve("direct-gptq/quantize_config.json")
                                .toFile())
                        .get("checkpoint_format")
                        .asText())
                .isEqualTo("gptq_v2");
        assertThat(folder.resolve("direct-gptq/quant_config.json")).doesNotExist();
    }

    /** GPTQ is symmetric unless zero points are asked for, and in the version that every loader has. */
    @Test
    void symmetric_codes_are_the_default_of_gptq_and_keep_their_numbers_in_every_format() throws IOException {
        Path gptq = folder.resolve("direct");
        TerminalCapture quantize = new TerminalCapture();
        assertThat(quantize.run("quantize", MODEL.toString(), gptq.toString(), "--method", "rtn", "--format", "gptq"))
                .isEqualTo(ExitCode.DONE);
        assertThat(quantize.err()).doesNotContain("refuses");
        JsonNode config =
                new ObjectMapper().readTree(gptq.resolve("quantize_config.json").toFile());
        assertThat(config.get("sym").asBoolean()).isTrue();
        assertThat(config.get("checkpoint_format").asText()).isEqualTo("gptq");
        done("verify", gptq.toString(), "--against", MODEL.toString());
        double expected = perplexity(gptq);
        assertThat(expected).isBetween(20.0, 40.0);
        for (String format : new String[] {"compressed-tensors", "awq", "safetensors"}) {
            assertThat(perplexity(convert(gptq, format))).as(format).isEqualTo(expected);
        }
        JsonNode weights = new ObjectMapper()
                .readTree(folder.resolve("compressed-tensors/config.json").toFile())
                .at("/quantization_config/config_groups/group_0/weights");
        assertThat(weights.get("symmetric").asBoolean()).isTrue();
        Path direct = folder.resolve("direct-compressed");
        done(
                "quantize",
                MODEL.toString(),
                direct.toString(),
                "--method",
                "rtn",
                "--format",
                "compressed-tensors",
                "--symmetric");
        assertThat(direct.resolve("model.safetensors"))
                .hasSameBinaryContentAs(folder.resolve("compressed-tensors/model.safetensors"));
        Path back = folder.resolve("back");
        done("convert", direct.toString(), back.toString(), "--format", "gptq");
        assertThat(back.resolve("model.safetensors")).hasSameBinaryContentAs(gptq.resolve("model.safetensors"));

        TerminalCapture both = new TerminalCapture();
        assertThat(both.run(
                        "quantize", MODEL.toString(), folder.resolve("x").toString(), "--symmetric", "--asymmetric"))
                .isEqualTo(ExitCode.WRONG_USAGE);
    }

    /** 8 bits lose almost nothing, are symmetric unless asked otherwise, and go where 8 bits can. */
    @Test
    void eight_bits_keep_their_numbers_in_gptq_compressed_tensors_and_q8_0() throws IOException {
        Path packed = folder.resolve("packed");
        String[] command = {"quantize", MODEL.toString(), packed.toString(), "--method", "rtn", "--bits", "8"};
        TerminalCapture awq = new TerminalCapture();
        assertThat(awq.run(command)).isEqualTo(ExitCode.WRONG_USAGE);
        assertThat(awq.err()).contains("--format compressed-tensors").contains("--format gptq");
        assertThat(packed).doesNotExist();

        List<String> asked = new ArrayList<>(List.of(command));
        asked.addAll(List.of("--format", "compressed-tensors"));
        done(asked.toArray(String[]::new));

        JsonNode weights = new ObjectMapper()
                .readTree(packed.resolve("config.json").toFile())
                .at("/quantization_config/config_groups/group_0/weights");
        assertThat(weights.get("num_bits").asInt()).isEqualTo(8);
        assertThat(weights.get("symmetric").asBoolean()).isTrue();
        done("verify", packed.toString(), "--against", MODEL.toString());
        double expected = perplexity(packed);
        assertThat(expected).isCloseTo(perplexity(MODEL), within(0.1));
        for (String format : new String[] {"gptq", "safetensors"}) {
            assertThat(perplexity(convert(packed, format))).as(format).isEqualTo(expected);
        }
        Path back = folder.resolve("back");
        done("convert", folder.resolve("gptq").toString(), back.toString(), "--format", "compressed-tensors");
        assertThat(back.resolve("model.safetensors")).hasSameBinaryContentAs(packed.resolve("model.safetensors"));
        Path gguf = folder.resolve("gguf");
        done("convert", packed.toString(), gguf.toString(), "--format", "gguf", "--type", "Q8_0");
        assertThat(perplexity(gguf)).isCloseTo(expected, within(0.005));
        TerminalCapture refused = new TerminalCapture();
        assertThat(refused.run("convert", packed.toString(), folder.resolve("x").toString(), "--format", "awq"))
                .isNotEqualTo(ExitCode.DONE);
        assertThat(refused.err()).contains("8 bits").contains("take compressed-tensors or gptq");
        assertThat(folder.resolve("x")).doesNotExist();
    }

    /** A GGUF file, here a split one, is as good a source as safetensors. */
    @Test
    void gguf_is_quantized_planned_inspected_and_generates() throws IOException {
        Path gguf = folder.resolve("f16");
        done(
                "convert",
                MODEL.toString(),
                gguf.toString(),
                "--format",
                "gguf",
                "--type",
                "F16",
                "--max-shard-size",
                "5MB");
        Path first = gguf.resolve("wiki-7m-F16-00001-of-00003.gguf");
        assertThat(first).exists();
        Path fromGguf = folder.resolve("from-gguf");
        done("quantize", first.toString(), fromGguf.toString(), "--method", "rtn");
        Path original = folder.resolve("original");
        done("quantize", MODEL.toString(), original.toString(), "--method", "rtn");
        assertThat(fromGguf.resolve("model.safetensors")).hasSameBinaryContentAs(original.resolve("model.safetensors"));
        done("inspect", first.toString());
        done("plan", first.toString());
        done("generate", first.toString(), "--prompt", "The city", "--max-new-tokens", "2");
        done("quantize", first.toString(), folder.resolve("resumed").toString(), "--method", "rtn", "--resume");
    }

    @Test
    void a_report_says_what_was_read_and_written() throws IOException {
        Path out = folder.resolve("out");
        TerminalCapture terminal = new TerminalCapture();
        assertThat(terminal.run(
                        "convert",
                        MODEL.toString(),
                        out.toString(),
                        "--format",
                        "safetensors",
                        "--type",
                        "BF16",
                        "--max-shard-size",
                        "5MB",
                        "--json",
                        "-"))
                .as(terminal.err())
                .isEqualTo(ExitCode.DONE);
        JsonNode report = new ObjectMapper().readTree(terminal.out());
        assertThat(report.get("tensors").asInt()).isEqualTo(57);
        assertThat(report.get("input_bytes").asLong()).isEqualTo(13_638_144);
        assertThat(report.get("dropped")).isEmpty();
        assertThat(out.resolve("model-00003-of-00003.safetensors")).exists();
    }

    @Test
    void what_cannot_be_done_is_said_with_its_exit_code_and_leaves_nothing() {
        String out = folder.resolve("out").toString();
        TerminalCapture unknown = new TerminalCapture();
        assertThat(unknown.run("convert", MODEL.toString(), out, "--format", "onnx"))
                .isEqualTo(ExitCode.WRONG_USAGE);
        assertThat(unknown.err()).contains("--format onnx", "compressed-tensors");
        TerminalCapture type = new TerminalCapture();
        assertThat(type.run("convert", MODEL.toString(), out, "--format", "safetensors", "--type", "I8"))
                .isEqualTo(ExitCode.WRONG_USAGE);
        TerminalCapture dense = new TerminalCapture();
        assertThat(dense.run("convert", MODEL.toString(), out, "--format", "gptq"))
                .isEqualTo(ExitCode.BAD_INPUT);
        assertThat(dense.err()).contains("nibble quantize");
        assertThat(Files.exists(folder.resolve("out"))).isFalse();
    }

    @Test
    void the_format_has_one_name_in_every_command_and_its_old_one_is_still_taken() {
        String rtn = folder.resolve("rtn").toString();
        done("quantize", MODEL.toString(), rtn, "--method", "rtn", "--to", "gptq");
        done("convert", rtn, folder.resolve("awq").toString(), "--to", "awq");
        for (String[] command : new String[][] {{"quantize"}, {"convert"}, {"plan"}}) {
            TerminalCapture help = new TerminalCapture();
            assertThat(help.run(command[0], "--help")).isEqualTo(ExitCode.DONE);
            assertThat(help.out()).contains("--format").doesNotContain("--to");
        }
        TerminalCapture both = new TerminalCapture();
        assertThat(both.run("convert", rtn, folder.resolve("x").toString(), "--format", "awq", "--to", "gguf"))
                .isEqualTo(ExitCode.WRONG_USAGE);
        assertThat(both.err()).contains("--format awq and --to gguf");
        TerminalCapture neither = new TerminalCapture();
        assertThat(neither.run("convert", rtn, folder.resolve("x").toString())).isEqualTo(ExitCode.WRONG_USAGE);
        assertThat(neither.err()).contains("--format is needed: give safetensors, awq");
        TerminalCapture gguf = new TerminalCapture();
        assertThat(gguf.run("quantize", MODEL.toString(), folder.resolve("x").toString(), "--format", "gguf"))
                .isEqualTo(ExitCode.WRONG_USAGE);
        assertThat(gguf.err()).contains("nibble convert --format gguf");
    }

    private Path convert(Path source, String format) {
        Path out = folder.resolve(format);
        done("convert", source.toString(), out.toString(), "--format", format);
        return out;
    }

    private static void done(String... arguments) {
        TerminalCapture terminal = new TerminalCapture();
        assertThat(terminal.run(arguments)).as(terminal.err()).isEqualTo(ExitCode.DONE);
    }

    private double perplexity(Path model) throws IOException {
        return perplexity(model, 1);
    }

    /** The first windows of wikitext-2, of which the whole would be encoded each time. */
    private double perplexity(Path model, int windows) throws IOException {
        Path text = folder.resolve("text.txt");
        Files.writeString(text, TextDataset.wikitext2Test().text().substring(0, 10_000));
        TerminalCapture terminal = new TerminalCapture();
        assertThat(terminal.run(
                        "eval",
                        "perplexity",
                        model.toString(),
                        "--dataset",
                        text.toString(),
                        "--context",
                        "512",
                        "--windows",
                        String.valueOf(windows),
                        "--json",
                        "-"))
                .as(terminal.err())
                .isEqualTo(ExitCode.DONE);
        return new ObjectMapper().readTree(terminal.out()).get("perplexity").asDouble();
    }
}
