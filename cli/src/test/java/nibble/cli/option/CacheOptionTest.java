package nibble.cli.option;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import nibble.cli.TerminalCapture;
import nibble.cli.terminal.ExitCode;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** The KV cache's type, as commands take it. */
class CacheOptionTest {
    private static final String MODEL = "../models/wiki-7m";
    private static final ObjectMapper JSON = new ObjectMapper();

    @TempDir
    @SuppressWarnings("NullAway.Init")
    private Path folder;

    @Test
    void perplexity_with_8_bit_keys_is_another_and_less_than_a_thousandth_higher() throws IOException {
        double auto = perplexity("auto");
        double bytes = perplexity("int8");

        assertThat(auto).isEqualTo(perplexity(""));
        assertThat(bytes).isNotEqualTo(auto).isCloseTo(auto, within(auto / 1000));
    }

    private double perplexity(String type) throws IOException {
        Path result = folder.resolve("perplexity" + type + ".json");
        String option = type.isEmpty() ? "--dataset=wikitext2" : "--kv-cache-dtype=" + type;
        run("eval", "perplexity", MODEL, "--context=512", "--windows=2", "--json", result.toString(), option);
        return JSON.readTree(Files.readAllBytes(result)).path("perplexity").asDouble();
    }

    @Test
    void one_text_with_8_bit_keys_is_that_of_a_file_of_prompts() throws IOException {
        Path prompts = folder.resolve("prompts.jsonl");
        Path answers = folder.resolve("answers.jsonl");
        Files.writeString(prompts, "{\"prompt\": \"The city of\"}\n{\"prompt\": \"In 1914\"}\n");
        run("generate", MODEL, "--prompts", prompts.toString(), "--json", answers.toString(), "--kv-cache-dtype=int8");

        TerminalCapture alone = run("generate", MODEL, "--prompt", "The city of", "--kv-cache-dtype=int8");
        assertThat(alone.out())
                .isEqualTo(JSON.readTree(Files.readAllLines(answers).getFirst())
                                .path("text")
                                .asText()
                        + System.lineSeparator());
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "generate " + MODEL + " --prompt a",
                "serve " + MODEL + " --port 0",
                "eval perplexity " + MODEL,
                "eval tasks " + MODEL + " --tasks piqa",
                "eval mt-bench " + MODEL + " --output a.jsonl",
                "cluster eval tasks " + MODEL + " --tasks piqa --master local[1]",
                "cluster eval perplexity " + MODEL + " --master local[1]",
                "bench engine --shape llama-2-7b --together 2"
            })
    void another_type_is_rejected_before_anything_is_read(String command) {
        TerminalCapture terminal = new TerminalCapture();
        assertThat(terminal.run((command + " --kv-cache-dtype fp8").split(" "))).isEqualTo(ExitCode.WRONG_USAGE);
        assertThat(terminal.err())
                .contains("--kv-cache-dtype fp8: auto or int8")
                .doesNotContain("device:");
    }

    @Test
    void the_benchmark_of_one_sequence_has_no_such_cache() {
        TerminalCapture terminal = new TerminalCapture();
        assertThat(terminal.run("bench", "engine", "--shape", "llama-2-7b", "--kv-cache-dtype", "int8"))
                .isEqualTo(ExitCode.WRONG_USAGE);
        assertThat(terminal.err()).contains("--kv-cache-dtype int8 is for sequences at once; give --together too");
    }

    private static TerminalCapture run(String... arguments) {
        TerminalCapture terminal = new TerminalCapture();
        assertThat(terminal.run(arguments)).as(terminal.err()).isEqualTo(ExitCode.DONE);
        return terminal;
    }
}
