package nibble.datasets;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class CalibrationTextTest {
    @TempDir
    Path folder;

    @Test
    void wikitext2_is_train_then_validation_and_never_test() {
        CalibrationText text = CalibrationText.wikitext2();
        assertThat(text.documents()).containsExactly(Wikitext2.trainExcerpt(), Wikitext2.validation());
        assertThat(text.documents()).noneMatch(document -> document.contains(" = Robert Boulter = "));
        assertThat(text.sha256()).hasSize(64);
    }

    @Test
    void a_text_file_is_one_document() throws IOException {
        CalibrationText text = CalibrationText.file(write("a.txt", "\uFEFFline\r\n\nline é\n"));
        assertThat(text.documents()).containsExactly("line\r\n\nline é\n");
        assertThat(text.description()).endsWith("a.txt (plain text)");
    }

    @Test
    void the_hash_is_of_the_files_bytes() throws IOException {
        assertThat(CalibrationText.file(write("a.txt", "abc")).sha256())
                .isEqualTo("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }

    @Test
    void each_json_line_is_a_document() throws IOException {
        Path file = write("a.jsonl", """
            {"id": 1, "text": "one\\nline", "meta": {"text": 3, "list": [1, {"text": []}]}}

            {"text": ""}\r
            {"text": "\\u00e9 two"}
            """);
        CalibrationText text = CalibrationText.file(file);
        assertThat(text.documents()).containsExactly("one\nline", "é two");
        assertThat(text.description()).endsWith("a.jsonl (2 JSON lines with text)");
        assertThat(CalibrationText.file(write("b.JSON", "{\"text\":\"x\"}")).documents())
                .containsExactly("x");
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', textBlock = """
        {"text": "cut           | it ends early
        {"text": 3}             | its field "text" holds a number
        {"text": null}          | its field "text" holds null
        {"content": "a"}        | found no such field
        ["a"]                   | found an array
        {"text": "a"} {}        | found more after the object
        {'text': "a"}           | where JSON has something else
        """)
    void a_bad_json_line_is_named(String line, String found) throws IOException {
        Path file = write("bad.jsonl", "{\"text\": \"good\"}\n" + line + "\n");
        assertThatThrownBy(() -> CalibrationText.file(file))
                .isInstanceOf(BadDatasetException.class)
                .hasMessageContaining("bad.jsonl: line 2")
                .hasMessageContaining(found);
    }

    @Test
    void malformed_utf8_is_named_by_byte_and_line() throws IOException {
        Path file = folder.resolve("latin1.txt");
        Files.write(file, new byte[] {'a', '\n', 'c', 'a', 'f', (byte) 0xe9, ' ', 'x'});
        assertThatThrownBy(() -> CalibrationText.file(file))
                .isInstanceOf(BadDatasetException.class)
                .hasMessageContaining("latin1.txt: byte 5 (line 2): not UTF-8, found 0xe9");
        Path cut = folder.resolve("cut.txt");
        Files.write(cut, new byte[] {'a', (byte) 0xe2, (byte) 0x82});
        assertThatThrownBy(() -> CalibrationText.file(cut)).hasMessageContaining("byte 1 (line 1)");
    }

    @Test
    void a_file_that_is_missing_empty_or_a_folder_is_refused() throws IOException {
        assertThatThrownBy(() -> CalibrationText.file(folder.resolve("none.txt")))
                .isInstanceOf(BadDatasetException.class)
                .hasMessageContaining("none.txt: no such file");
        assertThatThrownBy(() -> CalibrationText.file(folder))
                .isInstanceOf(BadDatasetException.class)
                .hasMessageContaining("is a folder, expected a file");
        Path empty = write("empty.txt", "\n \n");
        assertThatThrownBy(() -> CalibrationText.file(empty))
                .isInstanceOf(BadDatasetException.class)
                .hasMessageContaining("empty.txt: no text");
        Path emptyLines = write("empty.jsonl", "{\"text\":\"\"}\n");
        assertThatThrownBy(() -> CalibrationText.file(emptyLines))
                .isInstanceOf(BadDatasetException.class)
                .hasMessageContaining("no text in its 1 lines");
    }

    @Test
    void a_file_too_large_to_hold_is_refused_before_it_is_read() throws IOException {
        Path file = folder.resolve("huge.txt");
        try (var sparse = new java.io.RandomAccessFile(file.toFile(), "rw")) {
            sparse.writeBytes("text ");
            sparse.setLength(1L << 32);
        }
        assertThatThrownBy(() -> CalibrationText.file(file))
                .isInstanceOf(BadDatasetException.class)
                .hasMessageContaining("huge.txt: 4294967296 bytes, at most 67108864 are read; cut the file");
    }

    private Path write(String name, String content) throws IOException {
        return Files.writeString(folder.resolve(name), content);
    }
}
