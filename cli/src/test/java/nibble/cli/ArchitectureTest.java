package nibble.cli;

import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.classes;
import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.noClasses;
import static java.util.Map.entry;
import static org.assertj.core.api.Assertions.assertThat;

import com.tngtech.archunit.core.domain.JavaClasses;
import com.tngtech.archunit.core.importer.ClassFileImporter;
import com.tngtech.archunit.core.importer.ImportOption;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
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
            entry("eval", Set.of("engine", "datasets", "files")),
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
                            "eval")));

    private static final JavaClasses CLASSES = new ClassFileImporter()
            .withImportOption(new ImportOption.DoNotIncludeTests())
            .importPackages("nibble");

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
}
