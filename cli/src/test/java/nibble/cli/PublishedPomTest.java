package nibble.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;
import javax.xml.parsers.DocumentBuilderFactory;
import javax.xml.xpath.XPathConstants;
import javax.xml.xpath.XPathFactory;
import nibble.files.Version;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.w3c.dom.Document;
import org.w3c.dom.NodeList;

/** What Maven Central requires of a POM, and what a module path needs of a jar; docs/releasing.md tells the rest. */
class PublishedPomTest {
    private static final Path ROOT = Path.of(System.getProperty("nibble.root"));

    static List<String> modules() throws Exception {
        return values(ROOT.resolve("pom.xml"), "/project/modules/module");
    }

    @Test
    void the_parent_says_who_where_and_under_which_licence() throws Exception {
        for (String path : List.of(
                "name",
                "description",
                "url",
                "licenses/license/name",
                "licenses/license/url",
                "developers/developer/name",
                "scm/connection",
                "scm/developerConnection",
                "scm/url")) {
            assertThat(values(ROOT.resolve("pom.xml"), "/project/" + path))
                    .as(path)
                    .hasSize(1)
                    .allMatch(text -> !text.isBlank());
        }
        assertThat(modules()).hasSize(14);
    }

    @ParameterizedTest
    @MethodSource("modules")
    void a_module_has_its_own_name_and_description_and_the_module_name_of_its_packages(String module) throws Exception {
        Path pom = ROOT.resolve(module).resolve("pom.xml");
        assertThat(values(pom, "/project/name")).hasSize(1).allMatch(text -> text.startsWith("Nibble "));
        assertThat(values(pom, "/project/description")).hasSize(1).allMatch(text -> text.length() > 10);
        assertThat(values(pom, "/project/properties/nibble.module")).containsExactly("nibble." + module);
        assertThat(packages(module)).containsExactly(module);
    }

    @Test
    void the_version_that_the_command_prints_is_the_builds() throws Exception {
        String version = values(ROOT.resolve("pom.xml"), "/project/version").getFirst();
        assertThat(Version.NIBBLE).isEqualTo(version.replace("-SNAPSHOT", ""));
    }

    private static List<String> packages(String module) throws IOException {
        try (Stream<Path> folders = Files.list(ROOT.resolve(module).resolve("src/main/java/nibble"))) {
            return folders.map(folder -> folder.getFileName().toString()).toList();
        }
    }

    private static List<String> values(Path pom, String path) throws Exception {
        Document document =
                DocumentBuilderFactory.newInstance().newDocumentBuilder().parse(pom.toFile());
        NodeList found =
                (NodeList) XPathFactory.newInstance().newXPath().evaluate(path, document, XPathConstants.NODESET);
        return Stream.iterate(0, i -> i < found.getLength(), i -> i + 1)
                .map(i -> found.item(i).getTextContent().strip())
                .toList();
    }
}
