package nibble.embedding;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.lang.reflect.Modifier;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.regex.MatchResult;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;

/** Holds docs/embedding.md to the code: what it shows is what {@link EmbeddingExamplesTest} runs. */
class EmbeddingPageTest {
    private static final Path ROOT = Path.of(System.getProperty("nibble.root"));
    private static final Pattern REGION =
            Pattern.compile("^    // region (\\w+)\n(.*?)^    // endregion$", Pattern.DOTALL | Pattern.MULTILINE);
    private static final Pattern BLOCK = Pattern.compile("^```(\\w*)\n(.*?)^```$", Pattern.DOTALL | Pattern.MULTILINE);
    private static final Pattern TYPE = Pattern.compile("`(nibble\\.[a-z.]+\\.[A-Z]\\w*)`");

    @Test
    void every_java_block_of_the_page_is_a_region_of_the_examples_to_the_letter() throws IOException {
        Map<String, String> regions = new TreeMap<>();
        for (String file : List.of(
                "cli/src/test/java/nibble/embedding/EmbeddingExamples.java",
                "langchain4j/src/test/java/nibble/langchain4j/LangChain4jExample.java")) {
            REGION.matcher(Files.readString(ROOT.resolve(file)))
                    .results()
                    .forEach(region -> regions.put(region.group(1), dedented(region.group(2))));
        }
        assertThat(regions).hasSizeGreaterThanOrEqualTo(9);

        assertThat(blocks("java")).containsExactlyInAnyOrderElementsOf(regions.values());
    }

    @Test
    void every_type_that_the_page_names_is_public() throws Exception {
        List<String> types = TYPE.matcher(page())
                .results()
                .map(found -> found.group(1))
                .distinct()
                .toList();
        assertThat(types).hasSizeGreaterThan(30);
        for (String type : types) {
            assertThat(Modifier.isPublic(Class.forName(type, false, getClass().getClassLoader())
                            .getModifiers()))
                    .as(type)
                    .isTrue();
        }
    }

    @Test
    void the_dependency_is_one_of_the_modules_in_the_version_of_the_build() throws IOException {
        assertThat(blocks("xml")).hasSize(1);
        String dependency = blocks("xml").getFirst();
        String parent = Files.readString(ROOT.resolve("pom.xml"));
        String artifact = Pattern.compile("<artifactId>nibble-(\\w+)</artifactId>")
                .matcher(dependency)
                .results()
                .map(found -> found.group(1))
                .collect(Collectors.joining());
        assertThat(parent).contains("<module>" + artifact + "</module>");
        assertThat(dependency)
                .contains(first(parent, "<groupId>[^<]*</groupId>"), first(parent, "<version>[^<]*</version>"));
    }

    private static String first(String text, String pattern) {
        return Pattern.compile(pattern)
                .matcher(text)
                .results()
                .findFirst()
                .map(MatchResult::group)
                .orElseThrow();
    }

    private static List<String> blocks(String language) throws IOException {
        return BLOCK.matcher(page())
                .results()
                .filter(block -> block.group(1).equals(language))
                .map(block -> block.group(2))
                .toList();
    }

    private static String page() throws IOException {
        return Files.readString(ROOT.resolve("docs/embedding.md"));
    }

    private static String dedented(String text) {
        return text.lines()
                .map(line -> line.isEmpty() ? "" : line.substring(4))
                .collect(Collectors.joining("\n", "", "\n"));
    }
}
