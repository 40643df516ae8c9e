package nibble.files;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class FileFaultTest {
    /** As Git LFS 3 writes it. */
    static final String POINTER = "version https://git-lfs.github.com/spec/v1\n"
            + "oid sha256:5e1a9f1a3bd1a1c8a3f7b6b3f2a45a5a1c1a4f8d6c0f9b0f7e4f0d8c2b1a9e77\nsize 499723\n";

    @TempDir
    @SuppressWarnings("NullAway.Init")
    private Path folder;

    private Path file(String text) throws IOException {
        return Files.write(folder.resolve("file"), text.getBytes(StandardCharsets.ISO_8859_1));
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', quoteCharacter = '`', textBlock = """
        version https://git-lfs.github.com/spec/v1~oid sha256:5e1a~size 499723~ | Git LFS pointer, not the file of 499,723 bytes
        version https://hawser.github.com/spec/v1~oid sha256:5e1a~size 12~      | git lfs pull
        version http://git-media.io/v/2~oid sha256:5e1a~size 12~                | nibble download
        ../../.git/annex/objects/xx/yy/SHA256E-s12--5e1a                        | git annex get
        /annex/objects/SHA256E-s12--5e1a~                                       | git annex get
        ../../blobs/0123456789abcdef0123456789abcdef01234567                    | link into a hub's cache
        <!DOCTYPE html><html lang="en">                                         | is a web page
        ~~  <!doctype HTML>                                                     | is a web page
        <html>                                                                  | is a web page
        <head><title>Log in</title>                                             | is a web page
        <?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>           | an XML text
        Entry not found                                                         | holds a server's answer, "Entry not found"
        Invalid username or password.                                           | holds a server's answer
        Access to model a/b is restricted. You must be logged in.               | Access to model a/b is restricted
        {"error":"Repository not found"}                                        | holds a server's answer
        GGUF~3                                                                  | is a GGUF file
        %PDF-1.7                                                                | is a PDF document
        """)
    void what_stands_in_a_files_place_is_named_with_the_way_out(String text, String words) throws IOException {
        assertThat(FileFault.of(file(text.replace('~', '\n'))).orElseThrow()).contains(words);
        assertThat(FileFault.of(file("\u00ef\u00bb\u00bf" + text.replace('~', '\n')))
                        .isPresent())
                .as("behind a byte order mark")
                .isEqualTo(!words.contains("GGUF") && !words.contains("PDF"));
    }

    @Test
    void compressed_files_are_told_and_only_where_they_are_wrong() throws IOException {
        Path gzip = file("\u001f\u008b\b\0\0\0\0\0");
        assertThat(FileFault.of(gzip).orElseThrow()).contains("compressed by gzip", "decompress it");
        assertThat(FileFault.of(gzip, Content.GZIP)).isEmpty();
        assertThat(FileFault.of(file("PK\3\4rest"), Content.ZIP)).isEmpty();
        assertThat(FileFault.of(file("(\u00b5/\u00fd")).orElseThrow()).contains("zstd");
    }

    @Test
    void an_empty_file_a_hole_and_a_folder_are_told() throws IOException {
        assertThat(FileFault.of(file("")).orElseThrow()).contains("is empty (0 bytes)");
        assertThat(FileFault.ofPerhapsEmpty(file(""))).isEmpty();
        assertThat(FileFault.of(file("\0".repeat(600))).orElseThrow()).contains("512 zero bytes");
        assertThat(FileFault.of(folder).orElseThrow()).contains("is a folder, expected a file");
        assertThat(FileFault.of(folder.resolve("none")).orElseThrow()).isEqualTo("no such file; check the path");
        assertThat(FileFault.of(file("x").resolve("y")).orElseThrow()).contains("no such file");
    }

    @Test
    void links_are_told_by_where_they_lead() throws IOException {
        Path broken = Files.createSymbolicLink(folder.resolve("broken"), Path.of("../../blobs/1234"));
        assertThat(FileFault.of(broken).orElseThrow()).contains("is a link to ../../blobs/1234, which is not there");
        Path loop = Files.createSymbolicLink(folder.resolve("loop"), Path.of("loop"));
        assertThat(FileFault.of(loop).orElseThrow()).contains("is a link to loop", "lead back");
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "{\"a\": 1}",
                "version 2 of a text",
                "<s> a </s>",
                "{% for m in messages %}",
                "# Card\n<h1>",
                "not fun",
                "\n\u000e\n\5<unk>",
                "<header>"
            })
    void files_that_are_what_they_should_be_are_left_alone(String text) throws IOException {
        assertThat(FileFault.of(file(text))).isEmpty();
    }

    /** Lengths of headers that begin as a pickle, a gzip file and a program do. */
    @ParameterizedTest
    @ValueSource(ints = {0x0280, 0x0380, 0x0480, 0x0580, 0x010480, 0x8b1f, 0x905a4d})
    void a_safetensors_file_is_no_other_kind_whatever_the_length_of_its_header(int header) throws IOException {
        byte[] head = ByteBuffer.allocate(64)
                .order(ByteOrder.LITTLE_ENDIAN)
                .putLong(header)
                .put("{\"a\":{}}".getBytes(StandardCharsets.US_ASCII))
                .array();
        assertThat(FileFault.of(Files.write(folder.resolve("model.safetensors"), head)))
                .isEmpty();
    }

    @Test
    void a_pipe_keeps_its_bytes_for_its_reader() {
        assertThat(FileFault.of(Path.of("/dev/null"))).isEmpty();
    }
}
