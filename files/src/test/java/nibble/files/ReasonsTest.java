package nibble.files;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.catchThrowable;

import com.fasterxml.jackson.core.StreamReadFeature;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.json.JsonMapper;
import java.io.EOFException;
import java.io.FileInputStream;
import java.io.FileNotFoundException;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.ConnectException;
import java.net.UnknownHostException;
import java.nio.channels.UnresolvedAddressException;
import java.nio.charset.MalformedInputException;
import java.nio.file.AccessDeniedException;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.ExecutionException;
import java.util.stream.Stream;
import java.util.zip.ZipException;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;

class ReasonsTest {
    private static final ObjectMapper JSON = JsonMapper.builder()
            .enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION)
            .enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS)
            .build();

    @TempDir
    @SuppressWarnings("NullAway.Init")
    private Path folder;

    record Answer(int questionId, List<String> turns) {}

    static Stream<Arguments> causes() {
        return Stream.of(
                Arguments.of(new NoSuchFileException("/a/b"), "no such file or folder"),
                Arguments.of(new AccessDeniedException("/a/b"), "permission denied"),
                Arguments.of(
                        new FileSystemException("/a/b", null, "No space left on device"), "No space left on device"),
                Arguments.of(new FileSystemException("/a/b"), "/a/b"),
                Arguments.of(new FileNotFoundException("/a (b)/c (Permission denied)"), "Permission denied"),
                Arguments.of(new MalformedInputException(1), "it is not UTF-8 text"),
                Arguments.of(new EOFException(), "it ends early"),
                Arguments.of(
                        new UnknownHostException("hub.example: Name or service not known"),
                        "no such host: hub.example"),
                Arguments.of(new ConnectException(), "the connection was refused"),
                Arguments.of(new ConnectException().initCause(new UnresolvedAddressException()), "no such host"),
                Arguments.of(new ZipException("zip END header not found"), "zip END header not found"),
                Arguments.of(new UncheckedIOException(new AccessDeniedException("/a")), "permission denied"),
                Arguments.of(new UncheckedIOException("a: cannot be read", new IOException("x")), "a: cannot be read"),
                Arguments.of(new ExecutionException(new IOException("Input/output error")), "Input/output error"),
                Arguments.of(new IllegalStateException(new IOException("java.io.EOFException: early")), "early"),
                Arguments.of(new RuntimeException((String) null), "no reason is known"),
                Arguments.of(new NullPointerException("Cannot invoke \"Object.toString()\""), "a value is missing"),
                Arguments.of(new NumberFormatException("For input string: \"x1\""), "\"x1\" is not a number"),
                Arguments.of(new StackOverflowError(), "it is nested too deeply"),
                Arguments.of(new OutOfMemoryError("Java heap space"), "out of memory: Java heap space"));
    }

    @ParameterizedTest
    @MethodSource("causes")
    void a_cause_is_said_in_words_without_a_class(Throwable cause, String words) {
        assertThat(Reasons.of(cause)).isEqualTo(words);
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', textBlock = """
        version https://git-lfs | found "version", which is no JSON at line 1, column 1
        <html></html>           | found '<' where JSON has something else at line 1, column 1
        {"a": [1, 2             | it ends early at line 1, column
        {"a": 1, "a": 2}        | key 'a' comes twice at line 1, column
        {"a": 1} {              | found
        """)
    void a_broken_json_is_said_by_place_and_never_in_the_parsers_words(String text, String words) {
        Throwable thrown = catchThrowable(() -> JSON.readTree(text));
        assertThat(Reasons.of(thrown))
                .contains(words.equals("found") ? "" : words)
                .doesNotContain("Source", "com.fasterxml", "JSON String");
    }

    @Test
    void a_json_of_another_form_names_the_key() {
        assertThat(Reasons.of(
                        catchThrowable(() -> JSON.readValue("{\"questionId\": \"x\", \"turns\": []}", Answer.class))))
                .isEqualTo("key questionId is missing, unknown or of another kind than expected at line 1, column 16");
        assertThat(Reasons.of(catchThrowable(() -> JSON.readValue("[1]", Answer.class))))
                .startsWith("it contains other data than expected")
                .doesNotContain("Answer");
    }

    @Test
    void what_the_system_says_of_real_files_is_kept_without_their_path() throws IOException {
        Path loop = Files.createSymbolicLink(folder.resolve("a"), Path.of("a"));
        assertThat(Reasons.of(catchThrowable(() -> Files.newInputStream(loop))))
                .isEqualTo("its links lead back to themselves");
        assertThat(Reasons.of(catchThrowable(() -> Files.createFile(folder.resolve("x".repeat(300))))))
                .isEqualTo("File name too long");
        assertThat(Reasons.of(catchThrowable(() -> new FileInputStream(folder.toFile()))))
                .isEqualTo("Is a directory");
        assertThat(Reasons.of(catchThrowable(() -> Files.readAllBytes(folder)))).isEqualTo("Is a directory");
        Path file = Files.createFile(folder.resolve("file"));
        assertThat(Reasons.of(catchThrowable(() -> Files.createFile(file.resolve("x")))))
                .isEqualTo("Not a directory");
    }
}
