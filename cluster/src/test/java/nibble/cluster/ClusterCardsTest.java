package nibble.cluster;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.File;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import nibble.cluster.spark.ClusterTask;
import nibble.cluster.spark.TaskPlace;
import org.apache.spark.SparkEnv;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.api.io.TempDir;

/** Each executor computes on the card that Spark's resource scheduling gave it; no two share one. */
@ExtendWith(LocalExecutors.class)
class ClusterCardsTest {
    private static final int POLL_MILLIS = 50;
    /** Two minutes: executors may still be starting. */
    private static final int MOST_POLLS = 2400;

    @TempDir
    Path temp;

    /**
     * Asks for cards.
     *
     * @param meeting folder where executors wait for each other, so that none takes all the tasks
     */
    private record Question(String meeting) implements ClusterTask<Integer, Answer> {
        @Override
        public Answer run(Integer nothing, TaskPlace place) {
            String executor = SparkEnv.get().executorId();
            File folder = new File(meeting);
            try {
                Files.createDirectories(folder.toPath().resolve(executor));
                for (int i = 0; folder.list().length < 2 && i < MOST_POLLS; i++) {
                    Thread.sleep(POLL_MILLIS);
                }
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
                throw new IllegalStateException(e);
            }
            return new Answer(executor, place.device("auto"), place.device("cpu"));
        }
    }

    private record Answer(String executor, String device, String asked) implements java.io.Serializable {}

    @Test
    void executors_ask_for_the_cards_that_the_discovery_script_named() {
        List<Answer> answers = new ArrayList<>();

        LocalExecutors.cluster()
                .run("cards", List.of(0, 1, 2, 3), new Question(temp.toString()), (_, answer) -> answers.add(answer));

        Map<String, String> cards = new HashMap<>();
        for (Answer answer : answers) {
            assertThat(answer.device()).isIn("cuda:0", "cuda:1", "cuda:2");
            assertThat(answer.asked()).isEqualTo("cpu");
            cards.merge(answer.executor(), answer.device(), (a, b) -> {
                assertThat(a).isEqualTo(b);
                return a;
            });
        }
        assertThat(cards.values()).doesNotHaveDuplicates().hasSizeGreaterThan(1);
    }
}
