package nibble.cli;

import static org.assertj.core.api.Assertions.assertThat;

import com.palantir.javaformat.java.Main;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;

/**
 * The form of the project's own sources. The formatter parses with the JDK that runs it, so it runs here, on the JDK of the
 * tests, and gives the same answer whatever JDK Maven itself runs on.
 *
 * <p>{@code mvn -o -q -pl cli -am -Dtest=SourceFilesTest -Dsurefire.failIfNoSpecifiedTests=false -Dnibble.format=write test}
 * formats all files instead of checking them.
 */
class SourceFilesTest {
    private static final Path ROOT = Path.of(System.getProperty("nibble.root"));

    @Test
    void every_source_file_is_formatted() throws Exception {
        boolean write = "write".equals(System.getProperty("nibble.format"));
        List<String> arguments = write ? List.of("--palantir", "--replace") : List.of("--palantir", "--dry-run");
        StringWriter out = new StringWriter();
        StringWriter err = new StringWriter();

        new Main(new PrintWriter(out, true), new PrintWriter(err, true), new ByteArrayInputStream(new byte[0]))
                .format(Stream.concat(arguments.stream(), sources().stream().map(Path::toString))
                        .toArray(String[]::new));

        assertThat(err.toString()).isEmpty();
        assertThat(out.toString())
                .as("files that the formatter would change; -Dnibble.format=write lets it")
                .isEmpty();
    }

    /** All Java files of all modules. */
    static List<Path> sources() throws IOException {
        try (Stream<Path> modules = Files.list(ROOT)) {
            List<Path> roots = modules.map(module -> module.resolve("src"))
                    .filter(Files::isDirectory)
                    .sorted()
                    .toList();
            assertThat(roots).as("modules below %s", ROOT).hasSizeGreaterThanOrEqualTo(9);
            return roots.stream().flatMap(SourceFilesTest::javaFiles).toList();
        }
    }

    private static Stream<Path> javaFiles(Path root) {
        try (Stream<Path> files = Files.walk(root)) {
            return files.filter(file -> file.toString().endsWith(".java")).sorted().toList().stream();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
