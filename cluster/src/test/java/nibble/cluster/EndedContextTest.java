package nibble.cluster;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.contentOf;

import java.io.File;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.Map;
import java.util.concurrent.CountDownLatch;
import nibble.cluster.spark.Cluster;
import nibble.cluster.spark.ClusterException;
import nibble.cluster.spark.ClusterSettings;
import nibble.files.output.StopSignal;
import org.apache.spark.SparkContext;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Spark ends its context by itself, in the midst of anything, where no master answers for a minute. */
class EndedContextTest {
    /** A driver of its own, as a process has one context: its one task hangs until the context has ended. */
    static final class Driver {
        private static final CountDownLatch RUNS = new CountDownLatch(1);

        private Driver() {}

        public static void main(String[] arguments) {
            try (Cluster cluster = Cluster.open(new ClusterSettings("local[1]", Map.of()), new StopSignal())) {
                Thread.ofPlatform().daemon().start(Driver::endContext);
                say("job", () -> cluster.run("a task", 1, (_, _) -> hang()));
                say("next job", () -> cluster.run("a task", 1, (_, input) -> input));
                say("places", cluster::slots);
                say("places now", cluster::slotsNow);
            }
        }

        private static void endContext() {
            try {
                RUNS.await();
            } catch (InterruptedException e) {
                throw new IllegalStateException(e);
            }
            SparkContext.getOrCreate().stop();
        }

        private static int hang() {
            RUNS.countDown();
            try {
                new CountDownLatch(1).await();
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
            }
            return 0;
        }

        private static void say(String what, Runnable action) {
            try {
                action.run();
                System.out.println(what + ": done");
            } catch (ClusterException e) {
                System.out.println(what + ": " + e.getMessage());
            }
        }
    }

    @Test
    void a_context_that_spark_ended_is_a_cluster_that_cannot_be_reached(@TempDir Path folder) throws Exception {
        File errors = folder.resolve("errors").toFile();
        Process driver = new ProcessBuilder(KilledDriver.command(Driver.class))
                .redirectError(ProcessBuilder.Redirect.to(errors))
                .start();

        String said = new String(driver.getInputStream().readAllBytes(), StandardCharsets.UTF_8);

        String reason = ": the cluster local[1] cannot be reached: its master does not answer, or removed the "
                + "application; check --master, and whether the master runs";
        assertThat(said.lines())
                .as(() -> said + contentOf(errors))
                .containsExactly("job" + reason, "next job" + reason, "places" + reason, "places now" + reason);
        assertThat(driver.waitFor()).isZero();
    }
}
