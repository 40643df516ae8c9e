package nibble.files.output;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class OutputFolderTest {
    @TempDir
    Path parent;

    @Test
    void a_committed_folder_appears_whole_under_its_name() throws IOException {
        Path out = parent.resolve("made/too/out");
        try (OutputFolder folder = OutputFolder.begin(out)) {
            assertThat(folder.path().getParent()).isEqualTo(out.getParent());
            assertThat(folder.path().getFileName().toString()).startsWith(".out.partial-");
            Files.createDirectory(folder.path().resolve("sub"));
            Files.writeString(folder.path().resolve("sub/file"), "text");
            assertThat(out).doesNotExist();
            folder.commit();
        }
        assertThat(out.resolve("sub/file")).hasContent("text");
        assertThat(out.getParent()).isDirectoryNotContaining("glob:**/.*");
    }

    @Test
    void nothing_is_left_without_commit() throws IOException {
        try (OutputFolder folder = OutputFolder.begin(parent.resolve("a/b/out"))) {
            Files.createDirectory(folder.path().resolve("sub"));
            Files.writeString(folder.path().resolve("sub/file"), "text");
        }
        assertThat(parent).isEmptyDirectory();
    }

    @Test
    void an_empty_folder_is_replaced_and_kept_when_not_committed() throws IOException {
        Path out = Files.createDirectory(parent.resolve("out"));
        OutputFolder.begin(out).close();
        assertThat(out).isEmptyDirectory();
        try (OutputFolder folder = OutputFolder.begin(out)) {
            Files.writeString(folder.path().resolve("file"), "text");
            folder.commit();
        }
        assertThat(out.resolve("file")).exists();
    }

    @Test
    void occupied_names_are_refused_and_left_alone() throws IOException {
        Path file = Files.writeString(parent.resolve("file"), "text");
        Path full = Files.createDirectory(parent.resolve("full"));
        Files.writeString(full.resolve("precious"), "text");
        assertThatThrownBy(() -> OutputFolder.begin(file))
                .isInstanceOf(OutputException.class)
                .hasMessageContaining("not a folder");
        assertThatThrownBy(() -> OutputFolder.begin(full))
                .isInstanceOf(OutputException.class)
                .hasMessageContaining("not empty");
        assertThatThrownBy(() -> OutputFolder.begin(file.resolve("below"))).isInstanceOf(OutputException.class);
        assertThat(full.resolve("precious")).exists();
        assertThat(parent).isDirectoryNotContaining("glob:**/.*");
    }

    @Test
    void a_target_filled_meanwhile_is_not_overwritten() throws IOException {
        Path out = parent.resolve("out");
        try (OutputFolder folder = OutputFolder.begin(out)) {
            Files.createDirectory(out);
            Files.writeString(out.resolve("theirs"), "text");
            assertThatThrownBy(folder::commit).isInstanceOf(OutputException.class);
        }
        assertThat(out.resolve("theirs")).exists();
        assertThat(parent).isDirectoryNotContaining("glob:**/.*");
    }
}
