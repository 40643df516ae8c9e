package nibble.datasets;

import java.net.URISyntaxException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Assumptions;

/** Where tests find their data. */
final class TestFolders {
    private TestFolders() {}

    /** The folder of the bundled 4096-piece tokenizer. */
    static Path wikiTokenizer() {
        try {
            return Path.of(TestFolders.class
                            .getResource("wiki-tokenizer/tokenizer.json")
                            .toURI())
                    .getParent();
        } catch (URISyntaxException e) {
            throw new AssertionError(e);
        }
    }

    /** A folder of the data beside the project; the test is skipped, visibly, where it is absent. */
    static Path shared(String relative) {
        Path root = Path.of(System.getProperty("nibble.root", ".."))
                .toAbsolutePath()
                .normalize();
        for (Path parent = root.getParent(); parent != null; parent = parent.getParent()) {
            Path found = parent.resolve("shared").resolve(relative);
            if (Files.exists(found)) {
                return found;
            }
        }
        return Assumptions.abort("shared/" + relative + " is not beside the project");
    }
}
