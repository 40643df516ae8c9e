package nibble.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Path;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledIfSystemProperty;
import org.junit.jupiter.api.io.TempDir;

/**
 * Kills at random times on the bundled model; for people, as it takes minutes:
 * {@code mvn -pl cli -am test -Dtest=RandomKillsTest -Dsurefire.failIfNoSpecifiedTests=false -Dnibble.kills=10}.
 */
@EnabledIfSystemProperty(named = "nibble.kills", matches = "[0-9]+", disabledReason = "set -Dnibble.kills=10 to run it")
class RandomKillsTest {
    private static final String[] OPTIONS = {"--samples", "8", "--seq-len", "512", "--max-shard-size", "2MB"};

    @TempDir
    @SuppressWarnings("NullAway.Init")
    private Path folder;

    @Test
    void every_killed_and_resumed_run_ends_in_the_same_bytes() throws IOException, InterruptedException {
        int kills = Integer.getInteger("nibble.kills");
        long seed = Long.getLong("nibble.kills.seed", 20261124);
        Random random = new Random(seed);
        Path model = Path.of(System.getProperty("nibble.root"), "models", "wiki-7m");
        KilledCommand whole =
                new KilledCommand("quantize", model, folder.resolve("whole"), folder.resolve("log"), OPTIONS);
        long start = System.nanoTime();
        assertThat(whole.start().waitFor()).as(whole.log()).isZero();
        long wholeNanos = System.nanoTime() - start;
        Map<String, String> expected = KilledCommand.hashes(folder.resolve("whole"));

        int interrupted = 0;
        for (int kill = 1; interrupted < kills; kill++) {
            Path out = folder.resolve("out-" + kill);
            KilledCommand quantize = new KilledCommand("quantize", model, out, folder.resolve("log-" + kill), OPTIONS);
            Process process = quantize.start();
            // Half of them at any time, which the start of the JVM and its first layer take much of; half while layers
            // come.
            int comes = kill % 2 == 0 ? random.nextInt(1, 6) : 0;
            long after = (long) (random.nextDouble() * wholeNanos / (comes == 0 ? 1 : 8));
            quantize.await(process, comes);
            boolean ended = process.waitFor(after, TimeUnit.NANOSECONDS);
            process.destroyForcibly().waitFor();
            int layers = quantize.journaled();
            if (!ended) {
                interrupted++;
                assertThat(out).doesNotExist();
                assertThat(quantize.start("--resume").waitFor())
                        .as(quantize.log())
                        .isZero();
            }
            assertThat(KilledCommand.hashes(out)).as("kill %d", kill).isEqualTo(expected);
            System.out.printf(
                    "kill %d, %.2f s after %s, of %.2f s: %s: same bytes%n",
                    kill,
                    after / 1e9,
                    comes == 0 ? "the start" : "layer " + comes,
                    wholeNanos / 1e9,
                    ended ? "finished before" : layers + " of 6 layers durable");
        }
    }
}
