package nibble.cli;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import nibble.cli.terminal.ExitCode;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** What people meet who give no options: models of any vocabulary, and of widths that 128 does not divide. */
class DefaultsTest {
    private static final Path ROOT =
            Path.of(System.getProperty("nibble.root")).toAbsolutePath().normalize();
    private static final ObjectMapper JSON = new ObjectMapper();

    @TempDir
    @SuppressWarnings("NullAway.Init")
    private Path folder;

    private final TerminalCapture terminal = new TerminalCapture();

    @Test
    void quantize_with_the_defaults_is_method_best_on_128_blocks_of_2048() throws IOException {
        Path model = wikiTokens(
                SmallModel.write(folder.resolve("model"), 128, 128, 4096, DefaultsTest::seesFewTokensOfABlock));
        String[] quantize = {
            "quantize", model.toString(), folder.resolve("out").toString(), "--device", "cpu", "--json", "-"
        };
        assertThat(terminal.run(with(quantize, "--steps", "2")))
                .as(terminal.err())
                .isEqualTo(ExitCode.DONE);
        JsonNode report = JSON.readTree(terminal.out());
        assertThat(report.get("method").asText()).isEqualTo("best");
        assertThat(report.get("calibration").get("blocks").asInt()).isEqualTo(128);
        assertThat(report.get("calibration").get("tokens").asInt()).isEqualTo(128 * 2048);
        assertThat(report.get("tuning").get("steps").asInt()).isEqualTo(2);
    }

    /**
     * tokenizers 0.23.3 makes 549,744, 474,572 and 491,159 ids of the bundled text: 134, 115 and 119 blocks of 4096.
     */
    @ParameterizedTest
    @CsvSource({"llama2, 32000, 128", "llama3, 128256, 115", "qwen3, 151936, 119"})
    void method_awq_takes_what_the_text_gives_of_any_vocabulary(String family, int vocabulary, int blocks)
            throws IOException {
        Path model =
                SmallModel.write(folder.resolve(family), 128, 128, vocabulary, DefaultsTest::seesFewTokensOfABlock);
        Path tokenizer = shared("data/tokenizers/" + family);
        for (String file : new String[] {"tokenizer.json", "tokenizer_config.json"}) {
            Files.copy(tokenizer.resolve(file), model.resolve(file));
        }
        assertThat(terminal.run(
                        "quantize",
                        model.toString(),
                        folder.resolve("out").toString(),
                        "--method",
                        "awq",
                        "--device",
                        "cpu",
                        "--json",
                        "-"))
                .as(terminal.err())
                .isEqualTo(ExitCode.DONE);
        JsonNode calibration = JSON.readTree(terminal.out()).get("calibration");
        assertThat(calibration.get("blocks").asInt()).isEqualTo(blocks);
        if (blocks < 128) {
            assertThat(terminal.err())
                    .contains("calibration: " + blocks + " blocks of 4096 tokens", "the usual number is 128");
        } else {
            assertThat(terminal.err()).doesNotContain("calibration: ");
        }
    }

    @Test
    void a_number_of_samples_that_was_asked_for_and_cannot_be_had_is_an_error() throws IOException {
        Path model = wikiTokens(SmallModel.write(folder.resolve("model"), 96, 96, 4096, config -> {}));
        Path text = Files.writeString(folder.resolve("short.txt"), "A short text. ".repeat(100));
        String[] few = {
            "quantize",
            model.toString(),
            folder.resolve("out").toString(),
            "--calibration",
            text.toString(),
            "--seq-len",
            "64",
            "--group-size",
            "32",
            "--steps",
            "0"
        };
        TerminalCapture asked = new TerminalCapture();
        assertThat(asked.run(with(few, "--samples", "128"))).isEqualTo(ExitCode.BAD_INPUT);
        assertThat(asked.err()).contains("blocks of 64 tokens found", "128 asked; give --samples ");
        assertThat(folder.resolve("out")).doesNotExist();
        assertThat(terminal.run(few)).as(terminal.err()).isEqualTo(ExitCode.DONE);
        assertThat(terminal.err()).containsPattern("calibration: \\d+ blocks of 64 tokens, all that .*short.txt");

        TerminalCapture none = new TerminalCapture();
        few[6] = "4096";
        few[2] = folder.resolve("none").toString();
        assertThat(none.run(few)).isEqualTo(ExitCode.BAD_INPUT);
        assertThat(none.err()).contains("0 blocks of 4096 tokens found", "give --seq-len ", "a larger --calibration");
    }

    /** A width of 576 is SmolLM2-135M's. */
    @ParameterizedTest
    @CsvSource({
        "576, 1536, 64, '64, 32 divide this model''s rows of 576 and 1536 columns', 64",
        "96, 192, 64, '32 divides this model''s rows of 96 and 192 columns', 32",
        "48, 96, 32, 'none of 128, 64, 32 divides this model''s rows of 48 and 96 columns; give -1', -1",
        "384, 1024, 128, '', 128"
    })
    void a_group_size_that_does_not_divide_is_refused_with_those_that_do_and_auto_takes_the_largest(
            int hidden, int intermediate, int size, String advice, int auto) throws IOException {
        Path model = wikiTokens(SmallModel.write(folder.resolve("model"), hidden, intermediate, 4096, config -> {}));
        String out = folder.resolve("out").toString();
        if (!advice.isEmpty()) {
            String larger = String.valueOf(size == 64 && hidden == 96 ? 64 : hidden == 48 ? 32 : 128);
            for (String[] command :
                    new String[][] {{"quantize", model.toString(), out, "--method", "rtn"}, {"plan", model.toString()}
                    }) {
                TerminalCapture refused = new TerminalCapture();
                assertThat(refused.run(with(command, "--group-size", larger))).isEqualTo(ExitCode.BAD_INPUT);
                assertThat(refused.err()).contains(hidden + " are not a multiple of the group size " + larger, advice);
            }
            assertThat(folder.resolve("out")).doesNotExist();
        }
        assertThat(terminal.run("quantize", model.toString(), out, "--method", "rtn", "--group-size", "auto"))
                .as(terminal.err())
                .isEqualTo(ExitCode.DONE);
        assertThat(JSON.readTree(folder.resolve("out/config.json").toFile())
                        .get("quantization_config")
                        .get("group_size")
                        .asInt())
                .isEqualTo(auto);
        assertThat(terminal.err()).contains("group size: " + auto);
        TerminalCapture plan = new TerminalCapture();
        assertThat(plan.run("plan", model.toString(), "--method", "rtn", "--group-size", "auto", "--json", "-"))
                .as(plan.err())
                .isEqualTo(ExitCode.DONE);
        assertThat(JSON.readTree(plan.out()).get("weight_file_bytes").asLong())
                .isEqualTo(Files.size(folder.resolve("out/model.safetensors")));
    }

    @ParameterizedTest
    @ValueSource(strings = {"48", "0", "256", "largest", ""})
    void no_command_takes_a_group_size_that_no_loader_has(String size) {
        for (String[] command : new String[][] {
            {"quantize", "a", "b"},
            {"plan", "a"},
            {"bench", "quantize", "--shape", "tiny"},
            {"bench", "engine", "--shape", "tiny"}
        }) {
            TerminalCapture refused = new TerminalCapture();
            assertThat(refused.run(with(command, "--group-size", size))).isEqualTo(ExitCode.WRONG_USAGE);
            assertThat(refused.err()).contains("--group-size", "32, 64, 128", "auto");
        }
    }

    @Test
    void benchmarks_take_auto_too() {
        assertThat(terminal.run(
                        "bench",
                        "quantize",
                        "--shape",
                        "tiny",
                        "--layers",
                        "1",
                        "--samples",
                        "1",
                        "--seq-len",
                        "64",
                        "--group-size",
                        "auto",
                        "--method",
                        "rtn",
                        "--device",
                        "cpu"))
                .as(terminal.err())
                .isEqualTo(ExitCode.DONE);
        assertThat(terminal.err()).contains("group size: 128");
    }

    @Test
    void a_plan_counts_the_blocks_that_the_models_tokenizer_gives() throws IOException {
        Path model = wikiTokens(
                SmallModel.write(folder.resolve("model"), 128, 128, 4096, config -> config.put("head_dim", 128)));
        Path text = Files.writeString(folder.resolve("short.txt"), "A short text. ".repeat(100));
        assertThat(terminal.run(
                        "plan", model.toString(), "--calibration", text.toString(), "--seq-len", "64", "--json", "-"))
                .as(terminal.err())
                .isEqualTo(ExitCode.DONE);
        long tokens = JSON.readTree(terminal.out()).get("calibration_tokens").asLong();
        assertThat(tokens).isGreaterThan(0).isLessThan(128 * 64).isEqualTo(tokens / 64 * 64);
        TerminalCapture config = new TerminalCapture();
        assertThat(config.run("plan", model.resolve("config.json").toString(), "--device", "cpu", "--json", "-"))
                .isEqualTo(ExitCode.DONE);
        assertThat(JSON.readTree(config.out()).get("calibration_tokens").asLong())
                .isEqualTo(128 * 2048);
    }

    /** Attention over whole blocks of the usual length would take most of the time. */
    private static void seesFewTokensOfABlock(ObjectNode config) {
        config.putArray("architectures").add("MistralForCausalLM");
        config.put("model_type", "mistral").put("sliding_window", 64);
        config.put("num_attention_heads", 1).put("head_dim", 128);
    }

    private static Path wikiTokens(Path model) throws IOException {
        for (String file : new String[] {"tokenizer.json", "tokenizer_config.json"}) {
            Files.copy(ROOT.resolve("models/wiki-7m").resolve(file), model.resolve(file));
        }
        return model;
    }

    /** A folder of the data beside the project; the test is skipped, visibly, where it is absent. */
    private static Path shared(String relative) {
        for (Path parent = ROOT.getParent(); parent != null; parent = parent.getParent()) {
            Path found = parent.resolve("shared").resolve(relative);
            if (Files.exists(found)) {
                return found;
            }
        }
        return Assumptions.abort("shared/" + relative + " is not beside the project");
    }

    private static String[] with(String[] command, String... more) {
        String[] all = java.util.Arrays.copyOf(command, command.length + more.length);
        System.arraycopy(more, 0, all, command.length, more.length);
        return all;
    }
}
