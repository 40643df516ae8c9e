package nibble.project;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * The form of the project's own sources. The formatter parses with the JDK that runs it, so it runs on the JDK of the
 * tests, and gives the same answer whatever JDK Maven itself runs on.
 *
 * <p>To format all files instead of checking them:
 *
 * <pre>
 * mvn -o -q -pl cli -am -Dtest=SourceFilesTest -Dsurefire.failIfNoSpecifiedTests=false \
 *     -Dnibble.format=write test
 * </pre>
 */
class SourceFilesTest {
    private static final Path ROOT = Path.of(System.getProperty("nibble.root"));

    @TempDir
    @SuppressWarnings("NullAway.Init")
    private Path folder;

    @Test
    void every_source_file_is_formatted() throws Exception {
        List<String> command = new ArrayList<>(List.of(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                // Each file is other code for the formatter's many rules: the second compiler gains nothing.
                "-XX:TieredStopAtLevel=1",
                "-XX:+UseSerialGC"));
        for (String part : List.of("api", "code", "file", "parser", "tree", "util")) {
            command.add("--add-exports=jdk.compiler/com.sun.tools.javac." + part + "=ALL-UNNAMED");
        }
        Path files = Files.write(
                folder.resolve("files"), sources().stream().map(Path::toString).toList());
        command.addAll(List.of(
                "-cp",
                System.getProperty("surefire.test.class.path", System.getProperty("java.class.path")),
                Formatting.class.getName(),
                System.getProperty("nibble.format", "check"),
                files.toString()));
        Path out = folder.resolve("out");
        Path err = folder.resolve("err");
        Process formatter = new ProcessBuilder(command)
                .redirectOutput(out.toFile())
                .redirectError(err.toFile())
                .start();

        assertThat(formatter.waitFor()).as(() -> read(err)).isZero();
        assertThat(read(err)).isEmpty();
        assertThat(read(out))
                .as("files that the formatter would change; -Dnibble.format=write lets it")
                .isEmpty();
    }

    private static String read(Path file) {
        try {
            return Files.readString(file);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    @Test
    void no_source_file_is_longer_than_400_lines() throws Exception {
        List<String> tooLong = new ArrayList<>();
        for (Path file : sources()) {
            long lines = Files.readAllLines(file).size();
            if (lines > 400) {
                tooLong.add(file + ": " + lines);
            }
        }
        assertThat(tooLong).isEmpty();
    }

    /** Lines of code are the formatter's; a long text in a line of its own may stand. */
    @Test
    void no_comment_is_wider_than_120_columns() throws Exception {
        List<String> wide = new ArrayList<>();
        for (Path file : sources()) {
            for (String line : Files.readAllLines(file)) {
                String text = line.strip();
                boolean comment = text.startsWith("*") || text.startsWith("/*") || text.startsWith("//");
                if (comment && line.codePointCount(0, line.length()) > 120) {
                    wide.add(file.getFileName() + ": " + text);
                }
            }
        }
        assertThat(wide).isEmpty();
    }

    @Test
    void no_package_has_more_than_30_files() throws Exception {
        assertThat(sources().stream().collect(Collectors.groupingBy(Path::getParent, Collectors.counting())))
                .allSatisfy((folder, files) ->
                        assertThat(files).as(folder.toString()).isLessThanOrEqualTo(30));
    }

    @Test
    void ten_lines_in_a_row_stand_in_one_place_only() throws Exception {
        assertThat(RepeatedLines.of(sources(), 10)).isEmpty();
        List<Path> kernels = sources(Set.of("cu", "cuh", "c", "h"));
        assertThat(kernels).as("kernels").hasSizeGreaterThan(30);
        assertThat(RepeatedLines.of(kernels, 10)).isEmpty();
    }

    /** All Java files of all modules. */
    static List<Path> sources() throws IOException {
        return sources(Set.of("java"));
    }

    /** All files of all modules that end in one of these, sorted. */
    private static List<Path> sources(Set<String> extensions) throws IOException {
        try (Stream<Path> modules = Files.list(ROOT)) {
            List<Path> roots = modules.map(module -> module.resolve("src"))
                    .filter(Files::isDirectory)
                    .sorted()
                    .toList();
            assertThat(roots).as("modules below %s", ROOT).hasSizeGreaterThanOrEqualTo(9);
            return roots.stream().flatMap(root -> files(root, extensions)).toList();
        }
    }

    private static Stream<Path> files(Path root, Set<String> extensions) {
        try (Stream<Path> files = Files.walk(root)) {
            return files
                    .filter(file -> extensions.contains(file.toString().replaceAll(".*[.]", "")))
                    .sorted()
                    .toList()
                    .stream();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
