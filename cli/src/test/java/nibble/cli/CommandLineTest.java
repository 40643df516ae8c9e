package nibble.cli;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Stream;
import nibble.cli.command.NibbleCommand;
import nibble.cli.terminal.ExitCode;
import nibble.cli.terminal.Figures;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import picocli.CommandLine;

/** The commands as a person or a script would type them, on the bundled model. */
class CommandLineTest {
    private static final Path MODEL = Path.of(System.getProperty("nibble.root"), "models", "wiki-7m");
    private static final ObjectMapper JSON = new ObjectMapper();

    @TempDir
    @SuppressWarnings("NullAway.Init")
    private Path folder;

    private final TerminalCapture terminal = new TerminalCapture();

    @Test
    void no_command_is_wrong_usage() {
        assertThat(terminal.run()).isEqualTo(ExitCode.WRONG_USAGE);
        assertThat(terminal.err()).contains("nibble --help");
    }

    @Test
    void an_unknown_option_is_wrong_usage() {
        assertThat(terminal.run("quantize", "a", "b", "--nonsense")).isEqualTo(ExitCode.WRONG_USAGE);
        assertThat(terminal.err()).contains("--nonsense");
    }

    @Test
    void a_group_size_no_loader_takes_is_wrong_usage() {
        assertThat(terminal.run(
                        "quantize", MODEL.toString(), folder.resolve("out").toString(), "--group-size", "48"))
                .isEqualTo(ExitCode.WRONG_USAGE);
        assertThat(terminal.err()).contains("48").contains("128");
        assertThat(folder.resolve("out")).doesNotExist();
    }

    @Test
    void help_names_every_command_and_exit_code() {
        assertThat(terminal.run("--help")).isEqualTo(ExitCode.DONE);
        assertThat(terminal.out()).contains("quantize", "eval", "generate", "inspect", "plan", "demo", "130");
    }

    @Test
    void a_run_that_names_a_command_describes_that_command_alone_and_in_the_same_words() {
        Map<String, CommandLine> all = Nibble.commandLine(terminal.terminal()).getSubcommands();
        assertThat(all)
                .containsKeys("quantize", "generate", "bench", "cluster")
                .hasSize(1 + NibbleCommand.COMMANDS.size());
        all.forEach((name, command) -> {
            CommandLine named = Nibble.commandLine(terminal.terminal(), name, "--help");
            assertThat(named.getSubcommands().keySet()).isEqualTo(name.equals("cluster") ? all.keySet() : Set.of(name));
            assertThat(named.getSubcommands().get(name).getUsageMessage()).isEqualTo(command.getUsageMessage());
        });
    }

    @Test
    void an_unknown_command_is_wrong_usage_and_the_message_names_one_like_it() {
        assertThat(terminal.run("generat", "model")).isEqualTo(ExitCode.WRONG_USAGE);
        assertThat(terminal.err()).contains("generat", "nibble generate");
    }

    @Test
    void a_device_this_version_lacks_is_named_and_not_replaced() {
        assertThat(terminal.run("eval", "perplexity", MODEL.toString(), "--device", "cuda:0"))
                .isEqualTo(ExitCode.DEVICE_OR_MEMORY);
        assertThat(terminal.err()).contains("cuda:0");
    }

    @Test
    void a_head_in_bytes_is_an_option_of_the_cpu_alone() {
        assertThat(terminal.run(
                        "generate",
                        MODEL.toString(),
                        "--prompt",
                        "The city of",
                        "--max-new-tokens",
                        "3",
                        "--device",
                        "cpu",
                        "--head-weights",
                        "int8"))
                .isEqualTo(ExitCode.DONE);
        assertThat(terminal.err()).contains("head in int8");
        assertThat(terminal.run("eval", "perplexity", MODEL.toString(), "--head-weights", "int4"))
                .isEqualTo(ExitCode.WRONG_USAGE);
        assertThat(terminal.err()).contains("--head-weights int4: stored or int8");
        assertThat(terminal.run(
                        "eval", "perplexity", MODEL.toString(), "--device", "reference", "--head-weights", "int8"))
                .isEqualTo(ExitCode.DEVICE_OR_MEMORY);
        assertThat(terminal.err()).contains("device reference does not take a head in int8");
    }

    @Test
    void inspect_lists_types_shapes_and_files() throws IOException {
        assertThat(terminal.run("inspect", MODEL.toString(), "--json", "-")).isEqualTo(ExitCode.DONE);
        JsonNode found = JSON.readTree(terminal.out());
        assertThat(found.get("tensor_bytes").asLong()).isEqualTo(13_638_144);
        assertThat(found.get("tensors").findValuesAsText("name")).contains("model.layers.5.mlp.down_proj.weight");
    }

    @Test
    void quantize_then_reload_then_measure_generate_and_plan() throws IOException {
        Path out = folder.resolve("awq");
        Path report = folder.resolve("report.json");

        assertThat(terminal.run(
                        "quantize",
                        MODEL.toString(),
                        out.toString(),
                        "--samples",
                        "2",
                        "--seq-len",
                        "256",
                        "--max-shard-size",
                        "3MB",
                        "--steps",
                        "2",
                        "--json",
                        report.toString()))
                .as(terminal.err())
                .isEqualTo(ExitCode.DONE);

        assertThat(names(out))
                .contains(
                        "config.json",
                        "quant_config.json",
                        "quantization_report.json",
                        "tokenizer.model",
                        "tokenizer.json",
                        "generation_config.json",
                        "model.safetensors.index.json");
        assertThat(names(folder)).containsExactlyInAnyOrder("awq", "report.json");
        assertThat(Files.readAllBytes(out.resolve("tokenizer.json")))
                .isEqualTo(Files.readAllBytes(MODEL.resolve("tokenizer.json")));
        JsonNode quantization =
                JSON.readTree(out.resolve("config.json").toFile()).get("quantization_config");
        assertThat(quantization.get("quant_method").asText()).isEqualTo("awq");
        for (JsonNode layer : JSON.readTree(report.toFile()).get("layers")) {
            for (JsonNode pair : layer.get("pairs")) {
                assertThat(pair.get("loss").asDouble())
                        .isLessThanOrEqualTo(pair.get("rtn_loss").asDouble());
            }
        }

        TerminalCapture perplexity = new TerminalCapture();
        assertThat(perplexity.run(
                        "eval", "perplexity", out.toString(), "--context", "512", "--windows", "1", "--json", "-"))
                .isEqualTo(ExitCode.DONE);
        JsonNode figures = JSON.readTree(perplexity.out());
        assertThat(figures.get("windows").asInt()).isEqualTo(1);
        assertThat(figures.get("perplexity").asDouble()).isBetween(15.0, 60.0);

        TerminalCapture first = new TerminalCapture();
        TerminalCapture second = new TerminalCapture();
        for (TerminalCapture run : List.of(first, second)) {
            assertThat(run.run(
                            "generate",
                            out.toString(),
                            "--prompt",
                            "The city of",
                            "--max-new-tokens",
                            "8",
                            "--temperature",
                            "0.8",
                            "--seed",
                            "7"))
                    .isEqualTo(ExitCode.DONE);
        }
        assertThat(first.out()).isNotBlank().isEqualTo(second.out());

        TerminalCapture plan = new TerminalCapture();
        assertThat(plan.run("plan", MODEL.toString(), "--max-shard-size", "3MB", "--json", "-"))
                .isEqualTo(ExitCode.DONE);
        long written = 0;
        for (String name : names(out)) {
            if (name.startsWith("model")) {
                written += Files.size(out.resolve(name));
            }
        }
        assertThat(JSON.readTree(plan.out()).get("weight_file_bytes").asLong()).isEqualTo(written);
    }

    @Test
    void a_quantized_input_is_refused() throws IOException {
        Path out = folder.resolve("rtn");
        assertThat(terminal.run("quantize", MODEL.toString(), out.toString(), "--method", "rtn"))
                .isEqualTo(ExitCode.DONE);

        TerminalCapture again = new TerminalCapture();
        assertThat(again.run("quantize", out.toString(), folder.resolve("twice").toString(), "--method", "rtn"))
                .isEqualTo(ExitCode.BAD_INPUT);
        assertThat(again.err()).contains("quantized already", "config.json");
        assertThat(folder.resolve("twice")).doesNotExist();
    }

    @Test
    void an_output_folder_with_something_in_it_is_refused_and_left_alone() throws IOException {
        Path out = Files.createDirectory(folder.resolve("out"));
        Files.writeString(out.resolve("mine.txt"), "mine");

        assertThat(terminal.run("quantize", MODEL.toString(), out.toString(), "--method", "rtn"))
                .isEqualTo(ExitCode.BAD_INPUT);
        assertThat(terminal.err()).contains("not empty");
        assertThat(names(out)).containsExactly("mine.txt");
        assertThat(names(folder)).containsExactly("out");
    }

    @Test
    void too_little_calibration_text_is_said_with_what_was_found() throws IOException {
        Path text = Files.writeString(folder.resolve("short.txt"), "A short text. ".repeat(100));

        assertThat(terminal.run(
                        "quantize",
                        MODEL.toString(),
                        folder.resolve("out").toString(),
                        "--calibration",
                        text.toString(),
                        "--samples",
                        "128"))
                .isEqualTo(ExitCode.BAD_INPUT);
        assertThat(terminal.err()).contains("0 blocks of 2048 tokens", "128 asked", "--calibration");
        assertThat(names(folder)).containsExactly("short.txt");
    }

    @Test
    void a_damaged_shard_leaves_nothing_behind() throws IOException {
        Path damaged = Files.createDirectory(folder.resolve("model"));
        for (String name : names(MODEL)) {
            Files.copy(MODEL.resolve(name), damaged.resolve(name));
        }
        Path shard = damaged.resolve("model-00002-of-00003.safetensors");
        Files.write(shard, java.util.Arrays.copyOf(Files.readAllBytes(shard), 1_000_000));

        assertThat(terminal.run(
                        "quantize", damaged.toString(), folder.resolve("out").toString(), "--method", "rtn"))
                .isEqualTo(ExitCode.BAD_INPUT);
        assertThat(terminal.err()).contains("model-00002-of-00003.safetensors").doesNotContain("\tat ");
        assertThat(names(folder)).containsExactly("model");
    }

    /** The sizes that model repositories show, and the bytes that they stand for. */
    @ParameterizedTest
    @CsvSource({"70b, 36.61, 36614030778", "13b, 7.25, 7247987304", "7b, 3.89, 3889391480"})
    void plan_gives_llama_2_exactly_from_its_config_alone(String size, String gigabytes, long bytes)
            throws IOException {
        Path config = Path.of(
                System.getProperty("nibble.root"),
                "checkpoint/src/test/resources/nibble/checkpoint/model/llama-2-" + size + "-config.json");

        assertThat(terminal.run("plan", config.toString(), "--json", "-"))
                .as(terminal.err())
                .isEqualTo(ExitCode.DONE);
        long planned = JSON.readTree(terminal.out()).get("weight_file_bytes").asLong();
        assertThat(planned).isEqualTo(bytes);
        assertThat(Figures.bytes(planned)).isEqualTo(gigabytes + " GB");
    }

    @Test
    void inspect_takes_a_single_file() throws IOException {
        Path file = MODEL.resolve("model-00002-of-00003.safetensors");
        assertThat(terminal.run("inspect", file.toString(), "--layer", "2", "--json", "-"))
                .isEqualTo(ExitCode.DONE);
        JsonNode found = JSON.readTree(terminal.out());
        assertThat(found.get("tensor_bytes").asLong()).isBetween(4_000_000L, Files.size(file));
        assertThat(found.get("tensors").findValuesAsText("name"))
                .contains("model.layers.2.mlp.up_proj.weight")
                .allMatch(name -> name.startsWith("model.layers.2."));
    }

    @Test
    void figures_for_a_folder_that_is_not_there_are_refused_before_any_work() {
        Path nowhere = folder.resolve("none/figures.json");
        assertThat(terminal.run(
                        "quantize", MODEL.toString(), folder.resolve("out").toString(), "--json", nowhere.toString()))
                .isEqualTo(ExitCode.WRONG_USAGE);
        assertThat(terminal.err()).contains("none/figures.json", "make it first");
        assertThat(folder).isEmptyDirectory();
    }

    @Test
    void a_prompt_longer_than_the_model_is_wrong_usage() {
        assertThat(terminal.run("generate", MODEL.toString(), "--prompt", "The ".repeat(5000)))
                .isEqualTo(ExitCode.WRONG_USAGE);
        assertThat(terminal.err())
                .contains("tokens, and the model's context of 4096 must hold them")
                .doesNotContain("\tat ");
    }

    @Test
    void the_demo_refuses_a_folder_in_use_before_it_measures() throws IOException {
        Files.createDirectory(folder.resolve("wiki-7m-awq"));
        assertThat(terminal.run("demo", "--keep", folder.toString())).isEqualTo(ExitCode.WRONG_USAGE);
        assertThat(terminal.err()).contains("wiki-7m-awq exists already");
    }

    private static List<String> names(Path folder) throws IOException {
        try (Stream<Path> files = Files.list(folder)) {
            return files.map(file -> file.getFileName().toString()).sorted().toList();
        }
    }
}
