package nibble.cluster;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import nibble.cluster.spark.ClusterTask;
import nibble.cluster.spark.TaskPlace;
import org.apache.spark.SparkEnv;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;

/** Each executor computes on the card that Spark's resource scheduling gave it; no two share one. */
@ExtendWith(LocalExecutors.class)
class ClusterCardsTest {
    private record Question() implements ClusterTask<Integer, Answer> {
        @Override
        public Answer run(Integer nothing, TaskPlace place) {
            try {
                // So that no executor takes all the tasks.
                Thread.sleep(300);
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
                throw new IllegalStateException(e);
            }
            return new Answer(SparkEnv.get().executorId(), place.device("auto"), place.device("cpu"));
        }
    }

    private record Answer(String executor, String device, String asked) implements java.io.Serializable {}

    @Test
    void executors_ask_for_the_cards_that_the_discovery_script_named() {
        List<Answer> answers = new ArrayList<>();

        LocalExecutors.cluster().run("cards", List.of(0, 1, 2, 3), new Question(), (_, answer) -> answers.add(answer));

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
