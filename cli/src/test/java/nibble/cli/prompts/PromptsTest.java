package nibble.cli.prompts;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Set;
import java.util.stream.Stream;
import nibble.checkpoint.Checkpoint;
import nibble.cli.TerminalCapture;
import nibble.cli.terminal.ExitCode;
import nibble.datasets.BadDatasetException;
import nibble.datasets.Tokenizer;
import nibble.datasets.Tokenizers;
import nibble.engine.Backends;
import nibble.engine.Llama;
import nibble.engine.SamplingOptions;
import nibble.engine.attention.CacheType;
import nibble.engine.backend.Backend;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** {@code generate --prompts} on the bundled model. */
class PromptsTest {
    private static final String MODEL =
            Path.of(System.getProperty("nibble.root"), "models", "wiki-7m").toString();
    private static final ObjectMapper JSON = new ObjectMapper();
    private static final List<String> TEXTS = List.of("The city of", "In 1941", "The river", "He was born in", "= =");

    @TempDir
    @SuppressWarnings("NullAway.Init")
    private Path folder;

    @SuppressWarnings("NullAway.Init")
    private Path prompts;

    @SuppressWarnings("NullAway.Init")
    private Path out;

    @BeforeEach
    void writePrompts() throws IOException {
        prompts = folder.resolve("prompts.jsonl");
        out = folder.resolve("out.jsonl");
        StringBuilder lines = new StringBuilder();
        for (int i = 0; i < TEXTS.size(); i++) {
            lines.append(JSON.createObjectNode()
                            .put("prompt", TEXTS.get(i))
                            .put("id", "p" + i)
                            .put("max_tokens", 4 + i))
                    .append(i == 2 ? "\n\n" : "\n");
        }
        Files.writeString(prompts, lines);
    }

    @Test
    void answers_are_those_of_each_prompt_alone_in_the_order_of_the_file() throws IOException {
        TerminalCapture terminal = run();
        assertThat(terminal.out()).isEqualTo(out + ": 5 answers" + System.lineSeparator());
        assertThat(PromptAnswers.unfinished(out)).doesNotExist();

        List<JsonNode> answers = answers();
        assertThat(answers).hasSize(5);
        for (int i = 0; i < 5; i++) {
            TerminalCapture alone = new TerminalCapture();
            alone.run("generate", MODEL, "--prompt", TEXTS.get(i), "--max-new-tokens", "" + (4 + i));
            assertThat(answers.get(i).path("text").asText() + System.lineSeparator())
                    .isEqualTo(alone.out());
            assertThat(answers.get(i).path("id").asText()).isEqualTo("p" + i);
            assertThat(answers.get(i).path("index").asInt()).isEqualTo(i);
            assertThat(answers.get(i).path("completion_tokens").asInt()).isEqualTo(4 + i);
            assertThat(answers.get(i).path("finish_reason").asText()).isEqualTo("length");
        }
    }

    @Test
    void a_stopped_run_is_resumed_and_other_answers_are_rejected() throws IOException {
        run();
        byte[] whole = Files.readAllBytes(out);
        Files.delete(out);
        TerminalCapture again = run("--max-sequences", "1");
        assertThat(again.err()).doesNotContain("resuming");
        assertThat(Files.readAllBytes(out)).isEqualTo(whole);
        Files.delete(out);
        // A run that was killed while it wrote its fourth answer.
        List<String> lines = new ArrayList<>();
        for (int i : new int[] {1, 0, 4}) {
            lines.add(unfinished(i));
        }
        Path unfinished = PromptAnswers.unfinished(out);
        Files.writeString(
                unfinished, String.join("\n", lines) + "\n" + lines.getFirst().substring(0, 20));

        assertThat(fail()).contains("holds answers of a stopped run; --resume keeps them, or remove it");
        assertThat(fail("--resume", "--temperature", "0.5"))
                .contains("an answer to another prompt or from other options");
        assertThat(fail("--resume", "--kv-cache-dtype", "int8"))
                .contains("an answer to another prompt or from other options");
        assertThat(run("--resume").err()).contains("resuming: 3 of 5 answers are there");
        assertThat(Files.readAllBytes(out)).isEqualTo(whole);
        assertThat(unfinished).doesNotExist();
    }

    @Test
    void answers_that_another_run_writes_are_refused() throws IOException {
        Path other = folder.resolve("held.jsonl");
        Files.writeString(PromptAnswers.unfinished(other), "");
        try (PromptAnswers held = PromptAnswers.open(other, List.of("a"))) {
            assertThat(held.size()).isZero();
            assertThatThrownBy(() -> PromptAnswers.open(other, List.of("a")))
                    .isInstanceOf(BadDatasetException.class)
                    .hasMessageContaining("held.jsonl.unfinished: another run is writing it");
        }
    }

    /** A line as the run itself writes it: made by a run of which nothing but the journal is kept. */
    private String unfinished(int index) throws IOException {
        Path other = folder.resolve("other.jsonl");
        Path journal = PromptAnswers.unfinished(other);
        List<PromptLine> lines = PromptLine.read(prompts, SamplingOptions.GREEDY, 128);
        try (Backend backend = Backends.open("cpu", 2);
                Checkpoint checkpoint = Checkpoint.open(Path.of(MODEL));
                Llama model = Llama.load(checkpoint, backend);
                Tokenizer tokenizer = Tokenizers.open(Path.of(MODEL))) {
            PromptRun run = new PromptRun(model, tokenizer, Set.of(2), List.of(), 4, CacheType.AUTO);
            List<PromptRun.Asked> asked = PromptsOptions.asked(
                    run,
                    lines,
                    line -> tokenizer.encode(line.json().get("prompt").asText(), true));
            List<String> digests = asked.stream().map(PromptRun.Asked::digest).toList();
            try (PromptAnswers answers = PromptAnswers.open(other, digests)) {
                run.run(List.of(asked.get(index)), answers, (done, tokens) -> {});
            }
        }
        String line = Files.readAllLines(journal).getFirst();
        Files.delete(journal);
        return line;
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "{\"prompt\": 3} | line 1: \"prompt\" must be a text",
                "{\"prompt\": \"a\", \"messages\": []} | line 1: expected an object with either \"prompt\" or"
                        + " \"messages\"",
                "[1] | line 1: expected an object with either \"prompt\" or \"messages\"",
                "{\"prompt\": \"a\" | line 1: is no JSON",
                "{\"prompt\": \"a\", \"top_p\": 2} | line 1: top-p 2.0 found, above 0 and at most 1 expected",
                "{\"prompt\": \"a\", \"max_tokens\": 0} | line 1: max_tokens 0 found, 1 or more expected",
                "{\"prompt\": \"a\", \"stop\": \"b\"} | line 1: \"stop\" is not known; known are add_generation_prompt",
                "{\"messages\": [{\"role\": \"user\", \"content\": \"a\"}]} | line 1: \"messages\" need --template"
            })
    void a_line_that_is_none_is_named(String line, String message) throws IOException {
        Files.writeString(prompts, line + "\n");

        assertThat(fail()).contains(prompts + ": " + message);
        assertThat(folder).isDirectoryNotContaining("glob:**out*");
    }

    @Test
    void options_that_do_not_go_together_are_rejected() {
        TerminalCapture terminal = new TerminalCapture();
        assertThat(terminal.run("generate", MODEL, "--prompts", prompts.toString()))
                .isEqualTo(ExitCode.WRONG_USAGE);
        assertThat(terminal.err()).contains("--prompts needs --json FILE for the answers");
        terminal = new TerminalCapture();
        assertThat(terminal.run("generate", MODEL, "--prompt", "a", "--resume")).isEqualTo(ExitCode.WRONG_USAGE);
        assertThat(terminal.err()).contains("--resume needs --prompts");
        assertThat(fail("--prompt", "a")).contains("give one of --prompt TEXT, --prompts FILE and --chat");
        assertThat(fail("--max-sequences", "0")).contains("--max-sequences 0: at least 1");
    }

    private TerminalCapture run(String... more) {
        TerminalCapture terminal = new TerminalCapture();
        assertThat(terminal.run(arguments(more))).as(terminal.err()).isEqualTo(ExitCode.DONE);
        return terminal;
    }

    private String fail(String... more) {
        TerminalCapture terminal = new TerminalCapture();
        assertThat(terminal.run(arguments(more))).isNotEqualTo(ExitCode.DONE);
        return terminal.err();
    }

    private String[] arguments(String... more) {
        return Stream.concat(
                        Stream.of("generate", MODEL, "--prompts", prompts.toString(), "--json", out.toString()),
                        Arrays.stream(more))
                .toArray(String[]::new);
    }

    private List<JsonNode> answers() throws IOException {
        List<JsonNode> answers = new ArrayList<>();
        for (String line : Files.readAllLines(out)) {
            answers.add(JSON.readTree(line));
        }
        return answers;
    }
}
