package nibble.cluster.quantize;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Two attempts at one output never mix: the first whole one is it, and the other goes away. */
class TaskFolderTest {
    @TempDir
    Path temp;

    private static void fill(TaskFolder folder, String text) throws IOException {
        Files.createDirectories(folder.path());
        Files.writeString(folder.path().resolve("file"), text);
    }

    @Test
    void of_two_attempts_the_first_that_is_whole_wins() throws IOException {
        Path out = temp.resolve("out");
        try (TaskFolder first = TaskFolder.of(out, "app-1");
                TaskFolder second = TaskFolder.of(out, "app-2")) {
            fill(first, "first");
            fill(second, "second");
            second.commit();
            first.commit();
        }

        assertThat(out.resolve("file")).hasContent("second");
        assertThat(temp.toFile().list()).containsExactly("out");
    }

    @Test
    void an_attempt_that_fails_leaves_nothing() throws IOException {
        try (TaskFolder folder = TaskFolder.of(temp.resolve("out"), "app-1")) {
            fill(folder, "half");
        }

        assertThat(temp).isEmptyDirectory();
    }

    @Test
    void what_lost_attempts_left_is_swept_and_nothing_else() throws IOException {
        Path out = temp.resolve("out");
        fill(TaskFolder.of(out, "app-20261127015016-0003-17"), "lost");
        Files.createDirectory(temp.resolve(".out.attempt-local-4.unfinished"));
        for (String other : new String[] {"out", "out.attempts", "out.attempt-x", "out2.attempt-3"}) {
            Files.createDirectory(temp.resolve(other));
        }

        TaskFolder.sweep(out);

        assertThat(temp.toFile().list())
                .containsExactlyInAnyOrder("out", "out.attempts", "out.attempt-x", "out2.attempt-3");
    }
}
