package nibble.cluster.spark;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.Test;

/** The device of a task is what the command names, or the card that Spark gave, or the CPU. */
class TaskPlaceTest {
    @Test
    void auto_is_the_card_that_spark_gave() {
        assertThat(new TaskPlace("app-1", 4, 3).device("auto")).isEqualTo("cuda:3");
        assertThat(new TaskPlace("app-1", 4, 0).device("auto")).isEqualTo("cuda:0");
    }

    @Test
    void auto_without_a_card_is_the_cpu() {
        assertThat(new TaskPlace("app-1", 4, -1).device("auto")).isEqualTo("cpu");
    }

    @Test
    void a_device_that_was_named_comes_first() {
        assertThat(new TaskPlace("app-1", 4, 3).device("cpu")).isEqualTo("cpu");
        assertThat(new TaskPlace("app-1", 4, 3).device("cuda:0")).isEqualTo("cuda:0");
    }
}
