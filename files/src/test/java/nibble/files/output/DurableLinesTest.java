package nibble.files.output;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Objects;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class DurableLinesTest {
    @TempDir
    Path temp;

    @Test
    void an_absent_file_is_empty_and_made_by_the_first_line() throws Exception {
        Path file = temp.resolve("lines");
        try (DurableLines lines = DurableLines.read(file)) {
            assertThat(lines.found()).isEmpty();
            assertThat(file).doesNotExist();
            lines.add(List.of("one", "zwölf"));
            lines.add(List.of("three"));
        }
        assertThat(file).hasContent("one\nzwölf\nthree\n");
    }

    @Test
    void a_torn_last_line_stays_until_a_line_is_added_and_is_cut_off_then() throws Exception {
        Path file = Files.writeString(temp.resolve("lines"), "one\r\ntwo\nthr");
        try (DurableLines lines = DurableLines.read(file)) {
            assertThat(lines.found()).containsExactly("one\r", "two");
            assertThat(lines.rest()).isEqualTo("thr");
            assertThat(file).content().isEqualTo("one\r\ntwo\nthr");
            lines.add(List.of("four"));
        }
        assertThat(file).content().isEqualTo("one\r\ntwo\nfour\n");
    }

    @Test
    void a_file_is_held_by_one_opener_at_a_time() throws Exception {
        Path file = Files.writeString(temp.resolve("lines"), "one\n");
        try (DurableLines held = Objects.requireNonNull(DurableLines.lock(file))) {
            assertThat(held.found()).containsExactly("one");
            assertThat(DurableLines.lock(file)).isNull();
            held.add(List.of("two"));
        }
        try (DurableLines again = Objects.requireNonNull(DurableLines.lock(file))) {
            assertThat(again.found()).containsExactly("one", "two");
        }
    }

    @Test
    void a_claimed_file_that_is_absent_belongs_to_whoever_adds_the_first_line() throws Exception {
        Path file = temp.resolve("lines");
        try (DurableLines first = Objects.requireNonNull(DurableLines.claim(file));
                DurableLines second = Objects.requireNonNull(DurableLines.claim(file))) {
            assertThat(file).doesNotExist();
            first.add(List.of("one"));
            assertThat(DurableLines.claim(file)).isNull();
            assertRefused(second);
            first.close();
            assertRefused(second);
            first.close();
        }
        assertThat(file).hasContent("one\n");
        try (DurableLines again = Objects.requireNonNull(DurableLines.claim(file))) {
            assertThat(again.found()).containsExactly("one");
            assertThat(DurableLines.claim(file)).isNull();
            again.add(List.of("two"));
        }
        assertThat(file).hasContent("one\ntwo\n");
    }

    private static void assertRefused(DurableLines lines) {
        assertThatThrownBy(() -> lines.add(List.of("mine")))
                .isInstanceOf(IOException.class)
                .hasMessageContaining("another run began this file meanwhile");
    }
}
