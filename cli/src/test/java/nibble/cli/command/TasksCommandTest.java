package nibble.cli.command;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import nibble.cli.TerminalCapture;
import nibble.cli.terminal.ExitCode;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class TasksCommandTest {
    private static final String MODEL =
            Path.of(System.getProperty("nibble.root"), "models", "wiki-7m").toString();

    @TempDir
    private Path temp;

    private TerminalCapture terminal() {
        return new TerminalCapture(Map.of("HF_HUB_CACHE", temp.resolve("hub").toString()), "");
    }

    @Test
    void figures_go_to_a_table_and_a_file_and_the_journal_vanishes() throws Exception {
        Path json = temp.resolve("result.json");
        TerminalCapture terminal = terminal();

        int code = terminal.run(
                "eval",
                "tasks",
                MODEL,
                "--tasks",
                "piqa,lambada",
                "--limit",
                "3",
                "--device",
                "cpu",
                "--json",
                json.toString());

        assertThat(code).as(terminal.err()).isZero();
        assertThat(terminal.out())
                .contains(
                        "piqa",
                        "acc_norm",
                        "lambada_openai",
                        "perplexity",
                        "piqa: only the first 3 of 1838 documents",
                        "requests in",
                        "TFLOP/s");
        JsonNode result = new ObjectMapper().readTree(json.toFile());
        assertThat(result.get("schema").textValue()).isEqualTo("nibble-eval-tasks-1");
        assertThat(result.get("tasks").get(0).get("documents")).hasSize(3);
        assertThat(result.get("throughput").get("requests").intValue()).isEqualTo(3 * 2 + 3);
        assertThat(temp.resolve("result.json.journal")).doesNotExist();
    }

    @ParameterizedTest
    @ValueSource(strings = {"notes of mine", "notes of mine\n", "{\"model\": \"another\"}\n", "{}\n", "[1]\n"})
    void a_journal_that_is_another_programs_file_is_refused_and_left_as_it_is(String text) throws Exception {
        Path file = Files.writeString(temp.resolve("mine.txt"), text);
        TerminalCapture terminal = terminal();
        assertThat(terminal.run(
                        "eval",
                        "tasks",
                        MODEL,
                        "--tasks",
                        "piqa",
                        "--limit",
                        "1",
                        "--device",
                        "cpu",
                        "--journal",
                        file.toString()))
                .as(terminal.err())
                .isEqualTo(ExitCode.BAD_INPUT);
        assertThat(terminal.err()).contains(file.toString()).doesNotContain("a defect of Nibble", "\tat ");
        assertThat(Files.readString(file)).isEqualTo(text);
    }

    @Test
    void json_on_standard_output_stays_clean() throws Exception {
        TerminalCapture terminal = terminal();
        assertThat(terminal.run(
                        "eval",
                        "tasks",
                        MODEL,
                        "--tasks",
                        "openbookqa",
                        "--limit",
                        "2",
                        "--device",
                        "cpu",
                        "--json",
                        "-"))
                .isZero();
        assertThat(new ObjectMapper().readTree(terminal.out()).get("limit").intValue())
                .isEqualTo(2);
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "--tasks helaswag|--tasks helaswag: no such task; the nearest are hellaswag",
                "--tasks piqa --preset v1|--preset v1: unknown; known are leaderboard-v1, lm-eval-0.4.9.1",
                "--tasks piqa --limit 0|--limit must be at least 1",
                "--tasks piqa --limit 1.5|--limit must be at least 1, or a share below 1",
                "--tasks piqa --seed 3 --preset leaderboard-v1|need --preset lm-eval-0.4.13, not leaderboard-v1",
                "--tasks piqa --log-samples|--log-samples: give --output-path DIR too",
                "--tasks gsm8k --gen-kwargs max|--gen-kwargs: \"max\" is no KEY=VALUE",
                "--tasks piqa --fewshot-from test|train or measured expected",
                "--limit 3|Missing required option: '--tasks",
            })
    void wrong_usage_is_named(String options, String message) {
        TerminalCapture terminal = terminal();
        String[] arguments = ("eval tasks " + MODEL + " --device cpu " + options).split(" ");
        assertThat(terminal.run(arguments)).isEqualTo(ExitCode.WRONG_USAGE);
        assertThat(terminal.err()).contains(message);
    }

    @Test
    void a_damaged_file_and_missing_examples_are_bad_input() throws Exception {
        Files.writeString(temp.resolve("piqa.validation.jsonl"), "{\"goal\": \"x\"}\n");
        TerminalCapture damaged = terminal();
        assertThat(damaged.run("eval", "tasks", MODEL, "--tasks", "piqa", "--device", "cpu", "--data", temp.toString()))
                .isEqualTo(ExitCode.BAD_INPUT);
        assertThat(damaged.err()).contains("piqa.validation.jsonl: line 1: no field \"choices\", found [goal]");

        TerminalCapture missing = terminal();
        assertThat(missing.run(
                        "eval",
                        "tasks",
                        MODEL,
                        "--preset",
                        "leaderboard-v1",
                        "--tasks",
                        "winogrande",
                        "--device",
                        "cpu"))
                .isEqualTo(ExitCode.BAD_INPUT);
        assertThat(missing.err())
                .contains("WinoGrande XL train (40398 documents) is not bundled", "--fewshot-from measured");
    }
}
