package nibble.hub.client;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.OutputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class FileLocksTest {
    @TempDir
    Path temp;

    /** The other process: one thread holds {@code b} until a line comes, the other asks for {@code a}. */
    static final class Other {
        private Other() {}

        public static void main(String[] arguments) throws Exception {
            Path temp = Path.of(arguments[0]);
            CountDownLatch held = new CountDownLatch(1);
            try (ExecutorService threads = Executors.newVirtualThreadPerTaskExecutor()) {
                Future<?> holder = threads.submit(() -> {
                    FileLocks.locked(temp.resolve("b"), () -> {
                        held.countDown();
                        System.out.println("holds b");
                        System.in.read();
                    });
                    return null;
                });
                held.await();
                threads.submit(() -> {
                            FileLocks.locked(temp.resolve("a"), () -> System.out.println("had a"));
                            return null;
                        })
                        .get();
                holder.get();
            }
        }
    }

    @Test
    void two_processes_that_each_hold_one_lock_and_ask_for_the_others_are_not_deadlocked() throws Exception {
        Process other = new ProcessBuilder(
                        Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                        "-XX:TieredStopAtLevel=1",
                        "-cp",
                        System.getProperty("java.class.path"),
                        Other.class.getName(),
                        temp.toString())
                .redirectError(ProcessBuilder.Redirect.INHERIT)
                .start();
        try (BufferedReader out = new BufferedReader(new InputStreamReader(other.getInputStream()));
                OutputStream in = other.getOutputStream();
                ExecutorService threads = Executors.newVirtualThreadPerTaskExecutor()) {
            Future<String> second = threads.submit(() -> {
                String[] had = new String[1];
                FileLocks.locked(temp.resolve("a"), () -> {
                    assertThat(out.readLine()).isEqualTo("holds b");
                    // Its second thread asks for a now; to the operating system this asks for the last link of a ring.
                    Future<String> b = threads.submit(() -> {
                        String[] reached = new String[1];
                        FileLocks.locked(temp.resolve("b"), () -> reached[0] = "had b");
                        return reached[0];
                    });
                    try {
                        Thread.sleep(100);
                        in.write('\n');
                        in.flush();
                        had[0] = b.get(5, TimeUnit.MINUTES);
                    } catch (Exception e) {
                        throw new IllegalStateException(e);
                    }
                });
                return had[0];
            });
            assertThat(second.get()).isEqualTo("had b");
            assertThat(out.readLine()).isEqualTo("had a");
            assertThat(other.waitFor()).isZero();
        } finally {
            other.destroyForcibly();
        }
    }

    @Test
    void threads_of_one_process_take_turns() throws Exception {
        int[] inside = new int[2];
        try (ExecutorService threads = Executors.newVirtualThreadPerTaskExecutor()) {
            for (int i = 0; i < 20; i++) {
                threads.submit(() -> {
                    FileLocks.locked(temp.resolve("deep/lock"), () -> {
                        inside[0]++;
                        inside[1] = Math.max(inside[1], inside[0]);
                        inside[0]--;
                    });
                    return null;
                });
            }
        }
        assertThat(inside).containsExactly(0, 1);
    }

    @Test
    void where_there_can_be_no_lock_the_step_is_done_all_the_same() throws Exception {
        // As in another user's folder; the administrator may write in spite of it.
        Files.createDirectories(temp.resolve("taken"));
        Files.setPosixFilePermissions(temp.resolve("taken"), PosixFilePermissions.fromString("r-xr-xr-x"));
        boolean[] done = new boolean[1];
        FileLocks.locked(temp.resolve("taken/lock"), () -> done[0] = true);
        Files.setPosixFilePermissions(temp.resolve("taken"), PosixFilePermissions.fromString("rwxr-xr-x"));
        assertThat(done[0]).isTrue();
    }
}
