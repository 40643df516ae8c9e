package nibble.files;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;

class WholeFileTest {
    @TempDir
    @SuppressWarnings("NullAway.Init")
    private Path folder;

    @Test
    void a_file_is_made_or_replaced_and_nothing_else_is_left() throws IOException {
        Path file = folder.resolve("a \"b\"\n.json");
        WholeFile.write(file, "1");
        WholeFile.write(file, "22");
        assertThat(file).hasContent("22");
        assertThat(names()).containsExactly("a \"b\"\n.json");
    }

    @Test
    void a_name_of_255_bytes_is_written_and_one_of_256_refused_before_and_at_the_end() throws IOException {
        Path longest = folder.resolve("x".repeat(255));
        WholeFile.probe(longest);
        WholeFile.write(longest, "1");
        assertThat(names()).containsExactly("x".repeat(255));
        WholeFile.probe(longest);
        Path longer = folder.resolve("x".repeat(256));
        assertThatThrownBy(() -> WholeFile.probe(longer)).hasMessageContaining("File name too long");
        assertThatThrownBy(() -> WholeFile.write(longer, "1")).hasMessageContaining("File name too long");
        assertThat(names()).containsExactly("x".repeat(255));
    }

    @Test
    void a_link_stays_and_the_file_that_it_names_is_replaced() throws IOException {
        Path file = Files.writeString(folder.resolve("file"), "old");
        Path link = Files.createSymbolicLink(folder.resolve("link"), Path.of("file"));
        WholeFile.write(link, "new");
        assertThat(link).isSymbolicLink();
        assertThat(file).hasContent("new");
    }

    @Test
    @EnabledOnOs(OS.LINUX)
    void a_device_is_written_to_and_never_replaced() throws IOException {
        WholeFile.probe(Path.of("/dev/null"));
        WholeFile.write(Path.of("/dev/null"), "1");
        assertThat(Files.isRegularFile(Path.of("/dev/null"))).isFalse();
        assertThatThrownBy(() -> WholeFile.write(Path.of("/dev/full"), "1")).hasMessageContaining("No space left");
    }

    @Test
    void what_cannot_be_written_is_refused_by_the_probe() throws IOException {
        assertThatThrownBy(() -> WholeFile.probe(folder)).hasMessageContaining("is a folder");
        assertThatThrownBy(() -> WholeFile.probe(folder.resolve("none/file"))).hasMessageContaining("make it first");
        Path file = Files.writeString(folder.resolve("file"), "kept");
        assertThatThrownBy(() -> WholeFile.probe(file.resolve("x"))).hasMessageContaining("no folder");
        WholeFile.probe(file);
        assertThat(file).hasContent("kept");
    }

    private List<String> names() throws IOException {
        try (Stream<Path> files = Files.list(folder)) {
            return files.map(file -> file.getFileName().toString()).sorted().toList();
        }
    }
}
