package nibble.engine.host.natives;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Comparator;
import java.util.List;
import java.util.Optional;
import java.util.stream.Stream;
import nibble.files.digest.Sha256;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** The committed libraries come from the C sources in the tree; build.py there makes them anew. */
class NativeSourcesTest {
    private static final Path SOURCES =
            Path.of(System.getProperty("nibble.root", ".."), "engine", "src", "main", "native");

    @ParameterizedTest
    @CsvSource({"linux, x86_64", "linux, aarch64", "macos, x86_64", "macos, aarch64", "windows, x86_64"})
    void a_library_holds_the_digest_of_the_sources_in_the_tree(String system, String processor) throws Exception {
        Sha256 digest = new Sha256();
        for (Path file : sources()) {
            digest.add(file.getFileName().toString()).add(new byte[1]);
            digest.add(Files.readAllBytes(file)).add(new byte[1]);
        }

        String library;
        try (InputStream in = Kernels.class.getResourceAsStream(NativeLibrary.resource(system, processor))) {
            library = new String(in.readAllBytes(), StandardCharsets.ISO_8859_1);
        }

        assertThat(library.contains("nibble-sources:" + digest.hex()))
                .as("run build.py: the library of %s on %s is older than its sources", system, processor)
                .isTrue();
    }

    @Test
    void no_source_is_longer_than_400_lines_or_wider_than_120_columns() throws Exception {
        for (Path file : sources()) {
            assertThat(Files.readAllLines(file))
                    .as(file.toString())
                    .hasSizeLessThanOrEqualTo(400)
                    .allMatch(line -> line.length() <= 120);
        }
    }

    private static List<Path> sources() throws IOException {
        try (Stream<Path> files = Files.list(SOURCES)) {
            return files.filter(file -> file.toString().matches(".*\\.[ch]"))
                    .sorted(Comparator.comparing(file -> file.getFileName().toString()))
                    .toList();
        }
    }

    @Test
    void a_library_for_other_classes_is_not_used() {
        NativeLibrary.Loaded older = NativeLibrary.checked(_ -> Optional.empty());

        assertThat(older.symbols()).isNull();
        assertThat(older.reason())
                .isEqualTo("the library has interface 1, these classes need " + NativeLibrary.INTERFACE
                        + "; build both from the same sources");
    }
}
