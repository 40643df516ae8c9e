package nibble.project;

import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.classes;
import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.noClasses;
import static com.tngtech.archunit.library.dependencies.SlicesRuleDefinition.slices;
import static java.util.Map.entry;
import static org.assertj.core.api.Assertions.assertThat;

import com.tngtech.archunit.ArchConfiguration;
import com.tngtech.archunit.core.domain.JavaClass;
import com.tngtech.archunit.core.domain.JavaClasses;
import com.tngtech.archunit.core.importer.ClassFileImporter;
import com.tngtech.archunit.core.importer.ImportOption;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.regex.MatchResult;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** Holds the one direction in which modules may use each other. */
class ArchitectureTest {
    private static final Map<String, Set<String>> MAY_USE = Map.ofEntries(
            entry("files", Set.of()),
            entry("jinja", Set.of()),
            entry("checkpoint", Set.of("files", "jinja")),
            entry("datasets", Set.of("checkpoint", "files", "jinja")),
            entry("pack", Set.of("checkpoint", "files")),
            entry("convert", Set.of("pack", "checkpoint", "files", "jinja")),
            entry("hub", Set.of("checkpoint", "files", "jinja")),
            entry("engine", Set.of("pack", "checkpoint", "files")),
            entry("calibrate", Set.of("engine", "convert", "pack", "datasets", "checkpoint", "files")),
            entry("eval", Set.of("engine", "datasets", "files", "jinja")),
            entry("serve", Set.of("engine", "datasets", "checkpoint", "files")),
            entry("langchain4j", Set.of("engine", "datasets", "checkpoint", "files")),
            entry(
                    "cluster",
                    Set.of("calibrate", "eval", "engine", "convert", "pack", "datasets", "checkpoint", "files")),
            entry(
                    "cli",
                    Set.of(
                            "files",
                            "checkpoint",
                            "convert",
                            "hub",
                            "datasets",
                            "pack",
                            "engine",
                            "calibrate",
                            "eval",
                            "serve",
                            "cluster")));

    private static final JavaClasses CLASSES = nibbleAlone();

    /** The rules ask for names of used classes. What these use in turn would take as long again. */
    private static JavaClasses nibbleAlone() {
        ArchConfiguration.get().setResolveMissingDependenciesFromClassPath(false);
        return new ClassFileImporter()
                .withImportOption(new ImportOption.DoNotIncludeTests())
                .withImportOption(location -> !location.contains("-tests.jar"))
                .importPackages("nibble");
    }

    static Set<String> modules() {
        return MAY_USE.keySet();
    }

    @ParameterizedTest
    @MethodSource("modules")
    void a_module_uses_only_what_lies_below_it(String module) {
        List<String> forbidden = new ArrayList<>(MAY_USE.keySet());
        forbidden.remove(module);
        forbidden.removeAll(MAY_USE.get(module));

        assertThat(CLASSES.stream().anyMatch(c -> c.getPackageName().startsWith("nibble." + module)))
                .as("classes of %s were read", module)
                .isTrue();
        if (!forbidden.isEmpty()) {
            noClasses()
                    .that()
                    .resideInAPackage("nibble." + module + "..")
                    .should()
                    .dependOnClassesThat()
                    .resideInAnyPackage(
                            forbidden.stream().map(m -> "nibble." + m + "..").toArray(String[]::new))
                    .check(CLASSES);
        }
    }

    @Test
    void only_the_command_line_knows_picocli_and_the_process() {
        noClasses()
                .that()
                .resideOutsideOfPackage("nibble.cli..")
                .should()
                .dependOnClassesThat()
                .resideInAnyPackage("picocli..", "me.tongfei..")
                .orShould()
                .callMethod(System.class, "exit", int.class)
                .check(CLASSES);
    }

    @Test
    void no_class_is_named_after_nothing() {
        classes().should().haveNameNotMatching(".*(Manager|Helper|Utils?|Impl)").check(CLASSES);
    }

    @Test
    void packages_have_no_cycles() {
        slices().matching("nibble.(**)").should().beFreeOfCycles().check(CLASSES);
    }

    /**
     * Names in code style: packages as {@code engine.host}, classes as {@code Forward} or
     * {@code convert.CheckpointPlan}.
     */
    @Test
    void the_map_names_packages_and_classes_that_exist() throws IOException {
        Path root = Path.of(System.getProperty("nibble.root"));
        Set<String> packages = CLASSES.stream().map(JavaClass::getPackageName).collect(Collectors.toSet());
        Set<String> names = CLASSES.stream().map(JavaClass::getSimpleName).collect(Collectors.toSet());
        List<String> unknown = Pattern.compile("`((?:[a-z]+\\.)*)([a-z]+|[A-Z][a-z]\\w+)(`:|`)")
                .matcher(Files.readString(root.resolve("docs/architecture.md")))
                .results()
                .filter(name -> !name.group(2).endsWith("Test"))
                .filter(name -> Character.isUpperCase(name.group(2).charAt(0))
                        ? !names.contains(name.group(2))
                                || !name.group(1).isEmpty()
                                        && !packages.contains(
                                                "nibble." + name.group(1).replaceFirst("\\.$", ""))
                        : name.group(3).equals("`:")
                                && MAY_USE.containsKey((name.group(1) + name.group(2)).replaceFirst("\\..*", ""))
                                && !packages.contains("nibble." + name.group(1) + name.group(2)))
                .map(MatchResult::group)
                .toList();

        assertThat(unknown).isEmpty();
    }
}
