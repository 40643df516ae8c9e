package nibble.eval.judge;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import nibble.datasets.BadDatasetException;
import nibble.datasets.mtbench.MtBenchQuestion;
import nibble.datasets.mtbench.MtBenchQuestions;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * Grades of made-up answers. FastChat 0.2.36 asked the same and computed the same averages of the same replies
 * ({@code eval/fixtures/judge_cases.py}).
 */
class GradingTest {
    private static final ObjectMapper JSON = new ObjectMapper();

    @TempDir
    @SuppressWarnings("NullAway.Init")
    private Path folder;

    @SuppressWarnings("NullAway.Init")
    private JsonNode recorded;

    @SuppressWarnings("NullAway.Init")
    private Grading grading;

    @SuppressWarnings("NullAway.Init")
    private JudgedAnswers answers;

    private final List<String> asked = new ArrayList<>();

    @BeforeEach
    void read() throws IOException {
        try (InputStream in = GradingTest.class.getResourceAsStream("cases.json")) {
            recorded = JSON.readTree(Objects.requireNonNull(in));
        }
        grading = new Grading(
                JudgePrompts.file(lines("prompts")),
                MtBenchQuestions.file(lines("questions")),
                JudgedAnswers.read(lines("references")).turns());
        answers = JudgedAnswers.read(lines("answers"));
    }

    private Path lines(String name) throws IOException {
        List<String> lines = new ArrayList<>();
        recorded.path(name).forEach(line -> lines.add(line.toString()));
        return Files.writeString(folder.resolve(name), String.join("\n", lines) + "\n");
    }

    /** Answers from the recorded table alone, in its order, and only when it is asked what FastChat asked. */
    private JudgeModel table() {
        return new JudgeModel() {
            @Override
            public String name() {
                return "judge";
            }

            @Override
            public Reply ask(String system, String user) {
                for (JsonNode one : recorded.path("judgments")) {
                    if (one.path("system").asText().equals(system)
                            && one.path("user").asText().equals(user)) {
                        String key = one.path("question_id") + " " + one.path("turn");
                        asked.add(key);
                        return new Reply(recorded.path("replies").path(key).asText(), 100, 10);
                    }
                }
                throw new AssertionError("FastChat does not ask " + system + " / " + user);
            }
        };
    }

    private JudgeScores grade(JudgeModel judge) {
        try (JudgmentFile file = new JudgmentFile(folder.resolve("judgments.jsonl"))) {
            return grading.grade(answers, judge, file, (_, _) -> {});
        }
    }

    @Test
    void prompts_scores_and_averages_are_fastchats() throws IOException {
        JudgeScores scores = grade(table());

        assertThat(asked).hasSize(10).doesNotHaveDuplicates();
        List<String> lines = Files.readAllLines(folder.resolve("judgments.jsonl"));
        for (int i = 0; i < lines.size(); i++) {
            JsonNode line = JSON.readTree(lines.get(i));
            JsonNode wanted = recorded.path("judgments").get(i);
            assertThat(line.path("user_prompt")).isEqualTo(wanted.path("user"));
            assertThat(line.path("score").doubleValue())
                    .isEqualTo(wanted.path("score").doubleValue());
            assertThat(line.path("turn")).isEqualTo(wanted.path("turn"));
            assertThat(line.path("judge").get(1)).isEqualTo(wanted.path("prompt"));
            assertThat(line.path("model").asText()).isEqualTo("m");
        }
        JsonNode averages = recorded.path("averages");
        assertThat(scores.score()).isCloseTo(averages.path("all").doubleValue(), within(1e-12));
        assertThat(scores.firstTurn()).isCloseTo(averages.path("first").doubleValue(), within(1e-12));
        assertThat(scores.secondTurn()).isCloseTo(averages.path("second").doubleValue(), within(1e-12));
        assertThat(scores.judgments()).isEqualTo(7);
        assertThat(scores.withoutScore()).isEqualTo(3);
        assertThat(scores.promptTokens()).isEqualTo(1000);
        assertThat(scores.completionTokens()).isEqualTo(100);
        // writing 8 and 7.5, math 9 alone, coding 6 alone, stem 4 and 2, reasoning 10 alone.
        assertThat(scores.categories())
                .isEqualTo(Map.of("writing", 7.75, "math", 9.0, "coding", 6.0, "stem", 3.0, "reasoning", 10.0));
    }

    @Test
    void a_stopped_run_asks_only_for_what_is_missing() throws IOException {
        JudgeScores whole = grade(table());
        Path file = folder.resolve("judgments.jsonl");
        List<String> lines = Files.readAllLines(file);
        Files.writeString(
                file,
                String.join("\n", lines.subList(0, 6)) + "\n" + lines.get(6).substring(0, 50));
        asked.clear();

        assertThat(grade(table())).isEqualTo(whole);
        assertThat(asked).containsExactly("4 1", "4 2", "5 1", "5 2");
    }

    @Test
    void judgments_of_another_answer_are_not_mixed() {
        grade(table());
        answers = new JudgedAnswers("m", Map.of(1, List.of("another", "answer")));

        assertThatThrownBy(() -> grade(table()))
                .isInstanceOf(BadDatasetException.class)
                .hasMessageContaining("judgments.jsonl: question 1, turn 1")
                .hasMessageContaining("another file");
    }

    @Test
    void judgments_of_a_judge_that_was_told_something_else_are_not_mixed() throws IOException {
        grade(table());
        Path file = folder.resolve("judgments.jsonl");
        assertThat(JSON.readTree(Files.readAllLines(file).getFirst()).path("system_prompt"))
                .isEqualTo(recorded.path("judgments").get(0).path("system"));
        Files.writeString(
                file, Files.readString(file).replaceFirst("\"system_prompt\":\"", "\"system_prompt\":\"Be mild. "));

        assertThatThrownBy(() -> grade(table()))
                .isInstanceOf(BadDatasetException.class)
                .hasMessageContaining("judgments.jsonl: question 1, turn 1")
                .hasMessageContaining("another file");
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "null",
                "[]",
                "{} {}",
                "{\"judge\":null}",
                "{\"judge\":[null,\"p\"]}",
                "{\"user_prompt\":null}",
                "{\"system_prompt\":null}",
                "{\"model\":null}",
                "{\"question_id\":null}",
                "{\"score\":\"NaN\"}"
            })
    void a_line_that_lacks_something_is_no_judgment(String damage) throws IOException {
        grade(table());
        Path file = folder.resolve("judgments.jsonl");
        List<String> lines = new ArrayList<>(Files.readAllLines(file));
        if (damage.startsWith("{\"")) {
            lines.set(
                    1,
                    ((ObjectNode) JSON.readTree(lines.get(1)))
                            .setAll((ObjectNode) JSON.readTree(damage))
                            .toString());
        } else {
            lines.set(1, damage.equals("{} {}") ? lines.get(1) + lines.get(1) : damage);
        }
        String text = String.join("\n", lines) + "\n";
        Files.writeString(file, text);

        assertThatThrownBy(() -> grade(table()))
                .isInstanceOf(BadDatasetException.class)
                .hasMessageContaining("judgments.jsonl: line 2: no judgment of this program");
        assertThat(file).hasContent(text);
    }

    @Test
    void a_file_that_another_run_writes_is_refused() {
        Path path = folder.resolve("judgments.jsonl");
        grade(table());
        try (JudgmentFile first = new JudgmentFile(path)) {
            assertThat(first).isNotNull();
            assertThatThrownBy(() -> new JudgmentFile(path))
                    .isInstanceOf(BadDatasetException.class)
                    .hasMessageContaining("another run is writing it");
        }
        grade(table());
    }

    @Test
    void an_answer_to_no_known_question_and_a_missing_reference_are_named() {
        answers = new JudgedAnswers("m", Map.of(7, List.of("a")));
        assertThatThrownBy(() -> grade(table()))
                .hasMessageContaining("question 7 is answered")
                .hasMessageContaining("--questions");

        answers = new JudgedAnswers("m", Map.of(2, List.of("a")));
        grading = new Grading(grading.prompts(), grading.questions(), Map.of(3, List.of("r", "s")));
        assertThatThrownBy(() -> grade(table()))
                .hasMessageContaining("question 2 of category math has no answer in the file of reference answers");
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "{question} {nothing}|nothing to put for {nothing}",
                "{question} {|nothing to put for {",
                "} {answer}|nothing to put for }"
            })
    void a_prompt_with_a_place_for_nothing_is_named(String template, String message) {
        assertThatThrownBy(() -> new JudgePrompt("p", "", template).filled(Map.of("question", "q", "answer", "a")))
                .isInstanceOf(BadDatasetException.class)
                .hasMessageContaining("judge prompt p: " + message)
                .hasMessageContaining("answer, question");
    }

    @Test
    void the_bundled_prompts_fill_for_every_question() {
        List<MtBenchQuestion> questions = MtBenchQuestions.bundled();
        Grading own = new Grading(JudgePrompts.bundled(), questions, Map.of());
        Map<Integer, List<String>> said = new java.util.HashMap<>();
        questions.forEach(question -> said.put(question.id(), List.of("first", "second")));
        List<String> texts = new ArrayList<>();
        JudgeModel all = new JudgeModel() {
            @Override
            public String name() {
                return "j";
            }

            @Override
            public Reply ask(String system, String user) {
                texts.add(user);
                return new Reply("Grade: [[5]]", 1, 1);
            }
        };

        try (JudgmentFile file = new JudgmentFile(folder.resolve("all.jsonl"))) {
            JudgeScores scores = own.grade(new JudgedAnswers("m", said), all, file, (_, _) -> {});
            assertThat(scores.judgments()).isEqualTo(160);
            assertThat(scores.categories()).hasSize(8);
        }
        assertThat(texts).hasSize(160).allSatisfy(text -> assertThat(text).contains("[[5]]", "first"));
        assertThat(texts.stream().filter(text -> text.contains("<reference answer")))
                .as("60 of the three categories, but for what the questions file lacks")
                .hasSize(55);
    }
}
