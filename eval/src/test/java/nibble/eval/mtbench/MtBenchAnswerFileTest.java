package nibble.eval.mtbench;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import nibble.datasets.BadDatasetException;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class MtBenchAnswerFileTest {
    private static final MtBenchSettings SETTINGS = new MtBenchSettings("chatml", "", 16, 1, 50, 0, 1);

    @TempDir
    @SuppressWarnings("NullAway.Init")
    private Path folder;

    private MtBenchAnswerFile open() {
        return MtBenchAnswerFile.open(folder.resolve("m.jsonl"), "m", SETTINGS);
    }

    private static List<MtBenchAnswer.Choice> said(String text) {
        return List.of(new MtBenchAnswer.Choice(0, List.of(text, "and more")));
    }

    private List<Integer> questions() throws IOException {
        List<Integer> questions = new ArrayList<>();
        for (String line : Files.readAllLines(folder.resolve("m.jsonl"))) {
            questions.add(new ObjectMapper().readTree(line).path("question_id").intValue());
        }
        return questions;
    }

    @Test
    void answers_are_on_the_disk_as_they_end_and_in_the_order_of_their_questions_at_last() throws IOException {
        try (MtBenchAnswerFile file = open()) {
            file.add(83, said("c"));
            assertThat(questions()).containsExactly(83);
            file.add(90, said("other"));
        }
        try (MtBenchAnswerFile file = open()) {
            file.add(81, said("a"));
            file.add(82, said("b"));
            assertThat(questions()).containsExactly(83, 90, 81, 82);
            file.finish(List.of(81, 82, 83, 84));
        }
        assertThat(questions()).containsExactly(81, 82, 83, 90);
        assertThat(Files.readString(folder.resolve("m.jsonl"))).endsWith("}\n");
        try (var files = Files.list(folder)) {
            assertThat(files).containsExactly(folder.resolve("m.jsonl"));
        }
        try (MtBenchAnswerFile again = open()) {
            assertThat(again.has(83)).isTrue();
            assertThat(again.has(84)).isFalse();
        }
    }

    @Test
    void a_file_that_another_run_writes_is_refused_and_stays_whole() throws IOException {
        try (MtBenchAnswerFile first = open()) {
            first.add(81, said("a"));
            assertThatThrownBy(this::open)
                    .isInstanceOf(BadDatasetException.class)
                    .hasMessageContaining("m.jsonl: another run is writing it");
            first.add(82, said("b"));
        }
        assertThat(questions()).containsExactly(81, 82);
    }
}
