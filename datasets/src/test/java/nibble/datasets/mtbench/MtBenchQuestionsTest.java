package nibble.datasets.mtbench;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.util.HexFormat;
import java.util.List;
import java.util.Objects;
import java.util.stream.Collectors;
import nibble.datasets.BadDatasetException;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The published questions are there whole, and a damaged file is named with its line. */
class MtBenchQuestionsTest {
    @TempDir
    @SuppressWarnings("NullAway.Init")
    private Path folder;

    @Test
    void ten_questions_of_two_turns_in_each_of_eight_categories() throws Exception {
        List<MtBenchQuestion> questions = MtBenchQuestions.bundled();
        assertThat(questions).hasSize(80).allSatisfy(q -> assertThat(q.turns()).hasSize(2));
        assertThat(questions.getFirst().id()).isEqualTo(81);
        assertThat(questions.getLast().id()).isEqualTo(160);
        assertThat(questions.stream().collect(Collectors.groupingBy(MtBenchQuestion::category, Collectors.counting())))
                .hasSize(8)
                .allSatisfy((category, count) -> assertThat(count).isEqualTo(10));
        try (InputStream in = Objects.requireNonNull(MtBenchQuestions.class.getResourceAsStream("question.jsonl"))) {
            assertThat(HexFormat.of()
                            .formatHex(MessageDigest.getInstance("SHA-256").digest(in.readAllBytes())))
                    .isEqualTo(MtBenchQuestions.SHA256);
        }
    }

    @Test
    void a_line_that_is_no_question_is_named() throws IOException {
        Path file = folder.resolve("q.jsonl");
        String good = "{\"question_id\": 1, \"category\": \"math\", \"turns\": [\"a\"]}\n";
        Files.writeString(file, good);
        assertThat(MtBenchQuestions.file(file))
                .containsExactly(new MtBenchQuestion(1, "math", List.of("a"), List.of()));
        for (String bad : List.of(
                "{",
                "{\"question_id\": 2, \"category\": \"math\", \"turns\": []}",
                "{\"question_id\": \"2\", \"category\": \"math\", \"turns\": [\"a\"]}",
                "{\"question_id\": 2, \"category\": \"math\", \"turns\": [1]}",
                good.strip())) {
            Files.writeString(file, good + "\n" + bad + "\n");
            assertThatThrownBy(() -> MtBenchQuestions.file(file))
                    .isInstanceOf(BadDatasetException.class)
                    .hasMessageContaining("q.jsonl: line 3");
        }
        assertThatThrownBy(() -> MtBenchQuestions.file(folder.resolve("none"))).isInstanceOf(BadDatasetException.class);
    }
}
