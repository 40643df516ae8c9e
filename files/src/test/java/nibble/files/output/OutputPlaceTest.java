package nibble.files.output;

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
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Outputs that nothing can be renamed over, as mount points; the command line's tests mount one. */
class OutputPlaceTest {
    @TempDir
    @SuppressWarnings("NullAway.Init")
    private Path folder;

    @Test
    @EnabledOnOs(OS.LINUX)
    void a_mount_point_is_worked_in_and_a_plain_folder_beside() throws IOException {
        assertThat(OutputPlace.of(Path.of("/proc")).inside()).isTrue();
        assertThat(OutputPlace.of(Path.of("/proc")).hidden(".unfinished"))
                .isEqualTo(Path.of("/proc/.nibble.unfinished"));
        assertThat(OutputPlace.of(folder).inside()).isFalse();
        assertThat(OutputPlace.of(folder.resolve("new")).hidden(".unfinished"))
                .isEqualTo(folder.resolve(".new.unfinished"));
    }

    @Test
    void an_output_that_grew_inside_is_moved_up_and_leaves_no_state() throws IOException {
        Files.createDirectory(folder.resolve("lost+found"));
        try (UnfinishedOutput output = UnfinishedOutput.open(OutputPlace.inside(folder), false)) {
            assertThat(output.path()).isEqualTo(folder.resolve(".nibble.unfinished/output"));
            Files.writeString(output.path().resolve("config.json"), "{}");
            Files.createDirectory(output.path().resolve("sub"));
            Files.writeString(output.path().resolve("sub/weights"), "1");
            output.commit();
        }
        assertThat(names()).containsExactly("config.json", "lost+found", "sub");
        assertThat(folder.resolve("sub/weights")).hasContent("1");
    }

    @Test
    void a_move_that_was_cut_short_is_finished_by_resuming_and_by_nothing_else() throws IOException {
        UnfinishedOutput output = UnfinishedOutput.open(OutputPlace.inside(folder), false);
        Files.writeString(output.path().resolve("config.json"), "{}");
        Files.createDirectory(folder.resolve(".nibble.unfinished/moving"));
        Files.writeString(folder.resolve("weights"), "moved before the end came");
        output.close();

        assertThatThrownBy(() -> UnfinishedOutput.open(OutputPlace.inside(folder), false))
                .isInstanceOf(OutputException.class)
                .hasMessageContaining("an earlier run was not finished", "--resume");
        assertThat(UnfinishedOutput.removeRestOfFinished(OutputPlace.inside(folder)))
                .isTrue();
        assertThat(names()).containsExactly("config.json", "weights");
        assertThat(UnfinishedOutput.removeRestOfFinished(OutputPlace.inside(folder)))
                .isFalse();
    }

    @Test
    void an_unfinished_run_inside_is_found_again_and_a_discarded_one_leaves_the_folder_empty() throws IOException {
        UnfinishedOutput first = UnfinishedOutput.open(OutputPlace.inside(folder), false);
        Files.writeString(first.path().resolve("weights"), "1");
        Files.writeString(first.state().resolve("journal.jsonl"), line("layer"));
        first.close();
        assertThat(UnfinishedOutput.removeRestOfFinished(OutputPlace.inside(folder)))
                .isFalse();
        assertThatThrownBy(() -> UnfinishedOutput.open(OutputPlace.inside(folder), false))
                .hasMessageContaining("--resume");
        try (UnfinishedOutput second = UnfinishedOutput.open(OutputPlace.inside(folder), true)) {
            assertThat(second.path().resolve("weights")).hasContent("1");
            second.discard();
        }
        assertThat(names()).isEmpty();
    }

    /**
     * What runs leave that are killed outright: while they make the shards, write the journal's first lines, or a part
     * of one.
     */
    @ParameterizedTest
    @CsvSource({"'', true", "start, true", "start outer, true", "start outer layer, false", "start part, false"})
    void a_run_is_begun_over_the_rest_of_one_that_finished_nothing(String lines, boolean begun) throws IOException {
        Path out = folder.resolve("out");
        UnfinishedOutput killed = UnfinishedOutput.open(out, false);
        Files.writeString(killed.path().resolve("weights"), "1");
        StringBuilder journal = new StringBuilder();
        lines.lines().flatMap(line -> Stream.of(line.split(" "))).forEach(kind -> journal.append(line(kind)));
        Files.writeString(
                killed.state().resolve("journal.jsonl"), journal + "{\"crc32c\":\"00000000\",\"entry\":{\"la");
        killed.close();
        if (begun) {
            UnfinishedOutput.require(out, false);
            assertThat(names()).isEmpty();
        } else {
            assertThatThrownBy(() -> UnfinishedOutput.require(out, false)).hasMessageContaining("--resume");
            assertThat(killed.path().resolve("weights")).hasContent("1");
        }
    }

    private static String line(String kind) {
        return "{\"crc32c\":\"00000000\",\"entry\":{\"" + kind + "\":{}}}\n";
    }

    @Test
    void a_hidden_folder_that_no_run_made_is_left_alone() throws IOException {
        Path mine = Files.createDirectory(folder.resolve(".out.unfinished"));
        Files.writeString(mine.resolve("notes"), "mine");
        assertThatThrownBy(() -> UnfinishedOutput.require(folder.resolve("out"), false))
                .hasMessageContaining("delete " + mine);
        assertThat(mine.resolve("notes")).hasContent("mine");
    }

    @Test
    void what_the_end_needs_is_asked_at_the_start() throws IOException {
        Path file = Files.writeString(folder.resolve("file"), "");
        assertThatThrownBy(() -> UnfinishedOutput.require(file, false))
                .hasMessageContaining("exists and is not a folder");
        assertThatThrownBy(() -> UnfinishedOutput.require(file.resolve("out"), false))
                .hasMessageContaining("Not a directory");
        assertThatThrownBy(() -> UnfinishedOutput.require(folder, false)).hasMessageContaining("not empty");
        assertThatThrownBy(() -> UnfinishedOutput.require(Path.of("/"), false))
                .hasMessageContaining("root of a file system");
        assertThatThrownBy(() -> UnfinishedOutput.require(folder.resolve("x".repeat(256)), false))
                .hasMessageContaining("File name too long; choose a shorter name");
        UnfinishedOutput.require(folder.resolve("a/b/c"), false);
        assertThat(names()).as("nothing is left of asking").containsExactly("file");
    }

    @Test
    void the_longest_name_has_room_for_its_hidden_state() throws IOException {
        Path out = folder.resolve("ü".repeat(127));
        try (UnfinishedOutput output = UnfinishedOutput.open(out, false)) {
            Files.writeString(output.path().resolve("weights"), "1");
            output.commit();
        }
        assertThat(out.resolve("weights")).hasContent("1");
        assertThat(names()).containsExactly("ü".repeat(127));
    }

    private List<String> names() throws IOException {
        try (Stream<Path> files = Files.list(folder)) {
            return files.map(file -> file.getFileName().toString()).sorted().toList();
        }
    }
}
