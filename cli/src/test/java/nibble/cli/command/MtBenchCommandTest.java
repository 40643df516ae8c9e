package nibble.cli.command;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;
import nibble.cli.TerminalCapture;
import nibble.cli.terminal.ExitCode;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Answers in FastChat's layout on the bundled model, which was not made for chat but must keep to the forms. */
class MtBenchCommandTest {
    private static final String MODEL =
            Path.of(System.getProperty("nibble.root"), "models", "wiki-7m").toString();

    @TempDir
    @SuppressWarnings("NullAway.Init")
    private Path folder;

    private final TerminalCapture terminal = new TerminalCapture();

    private int run(String output, String... more) {
        return terminal.run(Stream.concat(
                        Stream.of(
                                "eval",
                                "mt-bench",
                                MODEL,
                                "--output",
                                folder.resolve(output).toString(),
                                "--device",
                                "cpu",
                                "--template",
                                "orca-hashes",
                                "--max-new-tokens",
                                "5"),
                        Stream.of(more))
                .toArray(String[]::new));
    }

    private List<JsonNode> answers(String output) throws IOException {
        List<JsonNode> answers = new ArrayList<>();
        for (String line : Files.readAllLines(folder.resolve(output))) {
            answers.add(new ObjectMapper().readTree(line));
        }
        return answers;
    }

    @Test
    void answers_have_fastchats_fields_and_every_turn() throws IOException {
        assertThat(run("a.jsonl", "--limit", "3", "--choices", "2"))
                .as(terminal.err())
                .isEqualTo(ExitCode.DONE);
        List<JsonNode> answers = answers("a.jsonl");
        assertThat(answers)
                .hasSize(3)
                .extracting(a -> a.path("question_id").intValue())
                .containsExactly(81, 82, 83);
        for (JsonNode answer : answers) {
            assertThat(answer.path("model_id").asText()).isEqualTo("wiki-7m");
            assertThat(answer.path("answer_id").asText()).hasSize(22);
            assertThat(answer.path("tstamp").doubleValue()).isBetween(1.7e9, 1e10);
            assertThat(answer.path("choices"))
                    .hasSize(2)
                    .allSatisfy(choice -> assertThat(choice.path("turns")).hasSize(2));
            assertThat(answer.path("choices").get(1).path("index").intValue()).isOne();
        }
        assertThat(answers.getFirst().path("choices").get(0).path("turns"))
                .as("drawn at temperature 0.7 from two seeds")
                .isNotEqualTo(answers.getFirst().path("choices").get(1).path("turns"));
    }

    @Test
    void a_killed_run_goes_on_with_the_same_answers() throws IOException {
        assertThat(run("whole.jsonl", "--limit", "3", "--seed", "7"))
                .as(terminal.err())
                .isEqualTo(ExitCode.DONE);
        List<String> lines = Files.readAllLines(folder.resolve("whole.jsonl"));
        Files.writeString(
                folder.resolve("cut.jsonl"), lines.get(0) + "\n" + lines.get(1).substring(0, 40));
        assertThat(run("cut.jsonl", "--limit", "3", "--seed", "7", "--resume"))
                .as(terminal.err())
                .isEqualTo(ExitCode.DONE);
        assertThat(answers("cut.jsonl").stream().map(a -> a.path("choices")).toList())
                .isEqualTo(answers("whole.jsonl").stream()
                        .map(a -> a.path("choices"))
                        .toList());
        assertThat(Files.readAllLines(folder.resolve("cut.jsonl")).getFirst())
                .as("the first was not asked again")
                .isEqualTo(lines.getFirst());
    }

    @Test
    void answers_made_in_another_way_are_not_mixed() throws IOException {
        assertThat(run("a.jsonl", "--limit", "1")).as(terminal.err()).isEqualTo(ExitCode.DONE);
        assertThat(run("a.jsonl", "--limit", "2")).isEqualTo(ExitCode.WRONG_USAGE);
        assertThat(terminal.err()).contains("--resume resumes it");
        assertThat(run("a.jsonl", "--limit", "2", "--resume", "--seed", "1")).isEqualTo(ExitCode.BAD_INPUT);
        assertThat(terminal.err()).contains("a.jsonl: line 1", "seed=0", "seed=1");
        assertThat(run("a.jsonl", "--limit", "2", "--resume", "--model-id", "other"))
                .isEqualTo(ExitCode.BAD_INPUT);
        Files.writeString(folder.resolve("b.jsonl"), "{}\n");
        assertThat(run("b.jsonl", "--resume")).isEqualTo(ExitCode.BAD_INPUT);
        assertThat(answers("a.jsonl")).hasSize(1);
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "notes of mine, without an end of line",
                "{\"question_id\": 81, \"category\": \"writing\"}",
                "{\"question_id\":81,\"turns\":[\"a\"]}",
                "{}\nrest",
                "\u0000"
            })
    void a_file_that_is_not_this_programs_is_refused_and_left_as_it_is(String text) throws IOException {
        Path file = Files.writeString(folder.resolve("mine.jsonl"), text);
        assertThat(run("mine.jsonl", "--limit", "1", "--resume")).isEqualTo(ExitCode.BAD_INPUT);
        assertThat(terminal.err()).contains("mine.jsonl: line 1: no answer of this program", "give another file");
        assertThat(file).hasContent(text);
    }

    @Test
    void what_a_run_that_was_killed_in_its_first_answer_left_is_gone_on_with() throws IOException {
        for (String begun :
                new String[] {"", "{\"question", "{\"question_id\":81,\"answer_id\":\"00a1b2\",\"model_id\":\"wi"}) {
            Files.writeString(folder.resolve("begun.jsonl"), begun);
            assertThat(run("begun.jsonl", "--limit", "1", "--resume"))
                    .as(terminal.err())
                    .isEqualTo(ExitCode.DONE);
            assertThat(answers("begun.jsonl")).hasSize(1);
        }
    }

    @Test
    void an_output_that_cannot_be_written_is_refused_before_the_model_is_loaded() throws IOException {
        Files.createDirectory(folder.resolve("in"));
        for (String output : new String[] {"none/a.jsonl", "in", "x".repeat(300)}) {
            assertThat(run(output, "--resume")).isEqualTo(ExitCode.WRONG_USAGE);
            assertThat(terminal.err()).contains("--output ").doesNotContain("MT-bench:");
        }
    }

    @Test
    void a_model_without_a_chat_template_needs_one_named() {
        assertThat(terminal.run(
                        "eval",
                        "mt-bench",
                        MODEL,
                        "--output",
                        folder.resolve("a.jsonl").toString()))
                .isEqualTo(ExitCode.WRONG_USAGE);
        assertThat(terminal.err()).contains("no chat_template of its own", "orca-hashes");
        assertThat(folder.resolve("a.jsonl")).doesNotExist();
    }

    @Test
    void a_conversation_longer_than_the_context_is_named() throws IOException {
        Path questions = Files.writeString(
                folder.resolve("q.jsonl"),
                "{\"question_id\": 1, \"category\": \"math\", \"turns\": [\"%s\"]}\n"
                        .formatted("one two three ".repeat(2000)));
        assertThat(run("a.jsonl", "--questions", questions.toString())).isEqualTo(ExitCode.WRONG_USAGE);
        assertThat(terminal.err()).contains("question 1: the conversation has", "4096");
    }
}
