package nibble.cli.option;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringReader;
import java.io.StringWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.stream.Stream;
import nibble.cli.TerminalCapture;
import nibble.cli.evaluation.TaskOptions;
import nibble.cli.terminal.ExitCode;
import nibble.cli.terminal.Terminal;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;

/** Evaluations through a KV cache of 8 bits, and files that begin with one type of cache and go on with another. */
class CachedEvaluationTest {
    private static final Path MODEL = Path.of(System.getProperty("nibble.root"), "models", "wiki-7m");
    private static final ObjectMapper JSON = new ObjectMapper();

    @TempDir
    @SuppressWarnings("NullAway.Init")
    private Path folder;

    private TerminalCapture run(int code, String command, String... arguments) {
        TerminalCapture terminal =
                new TerminalCapture(Map.of("HF_HUB_CACHE", folder.resolve("hub").toString()), "");
        assertThat(terminal.run(Stream.concat(
                                Stream.of(command.split(" ")),
                                Stream.concat(Stream.of(arguments), Stream.of("--device=cpu")))
                        .toArray(String[]::new)))
                .as(terminal.err())
                .isEqualTo(code);
        return terminal;
    }

    private JsonNode tasks(String type) throws IOException {
        Path json = folder.resolve(type + ".json");
        run(
                ExitCode.DONE,
                "eval tasks " + MODEL + " --tasks piqa,gsm8k --num-fewshot 0 --limit 2",
                "--kv-cache-dtype=" + type,
                "--json=" + json);
        return JSON.readTree(json.toFile());
    }

    @Test
    void scores_with_8_bit_keys_are_others_and_close_and_the_file_says_so() throws IOException {
        JsonNode auto = tasks("auto");
        JsonNode bytes = tasks("int8");

        assertThat(bytes.at("/model/device").asText() + bytes.path("device").asText())
                .endsWith(", KV cache in int8");
        double largest = 0;
        for (int document = 0; document < 2; document++) {
            for (int answer = 0; answer < 2; answer++) {
                String at = "/tasks/0/documents/%d/requests/%d/log_likelihood".formatted(document, answer);
                double before = auto.at(at).asDouble();
                assertThat(before).isNegative();
                largest = Math.max(largest, Math.abs(bytes.at(at).asDouble() - before) / Math.abs(before));
            }
        }
        assertThat(largest).isPositive().isLessThan(0.01);
    }

    @Command
    private static final class Asked {
        @Mixin
        private TaskOptions tasks = new TaskOptions();
    }

    @Test
    void a_journal_of_another_type_of_cache_is_refused() {
        Asked asked = new Asked();
        new CommandLine(asked).parseArgs("--tasks", "piqa", "--limit", "1", "--kv-cache-dtype", "int8");
        PrintWriter nowhere = new PrintWriter(new StringWriter());
        Terminal terminal = new Terminal(
                nowhere,
                nowhere,
                false,
                new BufferedReader(new StringReader("")),
                Map.of("HF_HUB_CACHE", folder.resolve("hub").toString()));
        JsonOption json = new JsonOption();
        json.file = folder.resolve("result.json").toString();
        asked.tasks
                .journal(json, MODEL, "", "cpu", asked.tasks.tasks(terminal, asked.tasks.options()))
                .close();
        String command = "eval tasks " + MODEL + " --tasks piqa --limit 1 --json " + json.file;

        assertThat(run(ExitCode.BAD_INPUT, command).err()).contains("result.json.journal", "KV cache", "int8");
        run(ExitCode.DONE, command, "--kv-cache-dtype=int8");
        assertThat(folder.resolve("result.json.journal")).doesNotExist();
    }

    @Test
    void the_divergence_of_whole_texts_is_not_measured_with_8_bit_keys() {
        String command = "eval tasks " + MODEL + " --tasks piqa --baseline " + MODEL;

        assertThat(run(ExitCode.WRONG_USAGE, command, "--kv-cache-dtype=int8").err())
                .contains("--kv-cache-dtype int8 with --baseline", "--divergence-windows 0");
    }

    @Test
    void answers_of_another_type_of_cache_are_refused_and_those_of_earlier_versions_have_one() throws IOException {
        Path answers = folder.resolve("answers.jsonl");
        String command =
                "eval mt-bench " + MODEL + " --template orca-hashes --max-new-tokens 4 --limit 1 --output " + answers;
        run(ExitCode.DONE, command, "--kv-cache-dtype=int8");
        String written = Files.readString(answers);

        assertThat(JSON.readTree(written).at("/settings/kv_cache").asText()).isEqualTo("int8");
        assertThat(run(ExitCode.BAD_INPUT, command, "--resume").err()).contains("made with", "kvCache=int8");
        Files.writeString(answers, written.replace(",\"kv_cache\":\"int8\"", ""));
        assertThat(run(ExitCode.BAD_INPUT, command, "--resume", "--kv-cache-dtype=int8")
                        .err())
                .contains("kvCache=auto");
        run(ExitCode.DONE, command, "--resume");
    }
}
