package nibble.cluster;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.io.OutputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import nibble.cluster.shared.SharedFolder;
import nibble.cluster.spark.ClusterException;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** A shared file appears whole or not at all, in file systems with renames and in object stores without. */
@ExtendWith(LocalExecutors.class)
class SharedFolderTest {
    private static final int MORE_THAN_A_BUFFER = 3 << 20;

    @TempDir
    Path temp;

    private SharedFolder folder(String scheme) {
        SharedFolder shared = new SharedFolder(scheme + ":" + temp.resolve("shared"));
        shared.make();
        return shared;
    }

    private static void write(OutputStream to, char of) throws IOException {
        to.write(String.valueOf(of).repeat(MORE_THAN_A_BUFFER).getBytes(StandardCharsets.US_ASCII));
    }

    private String content() throws IOException {
        return Files.readString(temp.resolve("shared/name"), StandardCharsets.US_ASCII);
    }

    @ParameterizedTest
    @ValueSource(strings = {"file", ObjectStore.SCHEME})
    void a_writer_that_fails_in_the_middle_leaves_nothing(String scheme) throws IOException {
        SharedFolder shared = folder(scheme);

        assertThatThrownBy(() -> shared.write("name", "app-1", to -> {
                    write(to, 'a');
                    throw new IOException("the disk is gone");
                }))
                .isInstanceOf(UncheckedIOException.class)
                .hasMessageContaining("shared/name: writing failed: the disk is gone");
        assertThatThrownBy(() -> shared.write("name", "app-2", to -> {
                    write(to, 'b');
                    throw new IllegalStateException("interrupted");
                }))
                .isInstanceOf(IllegalStateException.class);

        assertThat(shared.has("name")).isFalse();
        assertThat(temp.resolve("shared"))
                .satisfiesAnyOf(
                        path -> assertThat(path).doesNotExist(),
                        path -> assertThat(path).isEmptyDirectory());
        shared.write("name", "app-3", to -> write(to, 'c'));
        assertThat(content()).matches("c{" + MORE_THAN_A_BUFFER + "}");
    }

    @ParameterizedTest
    @ValueSource(strings = {"file", ObjectStore.SCHEME})
    void of_two_writers_at_once_either_makes_the_whole_file(String scheme) throws IOException {
        SharedFolder shared = folder(scheme);

        shared.write("name", "app-1", to -> {
            write(to, 'a');
            shared.write("name", "app-2", second -> write(second, 'a'));
            assertThat(content()).hasSize(MORE_THAN_A_BUFFER);
            write(to, 'a');
        });
        shared.write("name", "app-3", _ -> {
            throw new IOException("a file that is there needs no third writer");
        });

        assertThat(content()).matches("a+").hasSizeGreaterThanOrEqualTo(MORE_THAN_A_BUFFER);
        assertThat(shared.count("name")).isEqualTo(1);
        assertThat(temp.resolve("shared").toFile().list((_, name) -> !name.endsWith(".crc")))
                .containsExactly("name");
    }

    @ParameterizedTest
    @ValueSource(strings = {"file", ObjectStore.SCHEME})
    void a_task_that_outlives_its_command_leaves_nothing(String scheme) {
        SharedFolder shared = folder(scheme);

        assertThatThrownBy(() -> shared.write("name", "app-1", to -> {
                    shared.deleteAll();
                    write(to, 'a');
                }))
                .isInstanceOf(UncheckedIOException.class)
                .hasMessageContaining("the command that made it has ended");
        assertThatThrownBy(() -> shared.write("name", "app-1", to -> write(to, 'a')))
                .isInstanceOf(UncheckedIOException.class)
                .hasMessageContaining("the command that made it has ended");

        assertThat(temp).isEmptyDirectory();
    }

    @Test
    void a_file_system_without_its_jar_is_an_error_that_says_so() {
        assertThatThrownBy(() -> new SharedFolder("absent://bucket/folder").has("name"))
                .isInstanceOf(ClusterException.class)
                .hasMessageContaining("absent://bucket/folder")
                .hasMessageContaining("nibble.cluster.Absent")
                .hasMessageContaining("Spark's jars");
    }
}
