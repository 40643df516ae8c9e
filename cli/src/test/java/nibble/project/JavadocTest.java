package nibble.project;

import static org.assertj.core.api.Assertions.assertThat;

import com.sun.source.doctree.DocCommentTree;
import com.sun.source.tree.ClassTree;
import com.sun.source.tree.CompilationUnitTree;
import com.sun.source.tree.MethodTree;
import com.sun.source.tree.ModifiersTree;
import com.sun.source.tree.Tree;
import com.sun.source.util.DocTrees;
import com.sun.source.util.JavacTask;
import com.sun.source.util.TreePathScanner;
import java.io.File;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import javax.lang.model.element.Modifier;
import javax.tools.JavaCompiler;
import javax.tools.StandardJavaFileManager;
import javax.tools.ToolProvider;
import org.junit.jupiter.api.Test;

/** The Javadoc of public types and methods, read as a person hears it: first of all, what the thing does. */
class JavadocTest {
    /** What types and methods of this project do. A new verb is added here by the one who needs it. */
    private static final Set<String> VERBS = Set.of("""
        Accepts Adds Allocates Answers Appends Applies Asks Averages Begins Binds Bounds Brings Calls Cancels
        Changes Checks Chooses Cleans Collects Compares Compiles Completes Computes Continues Converts Copies
        Counts Creates Cuts Decodes Defines Deletes Describes Divides Does Downloads Encodes Ends Escapes
        Estimates Exports Fills Filters Finds Fits Formats Forms Frees Generates Gives Goes Handles Hands Has
        Hashes Hears Holds Is Joins Judges Keeps Lays Leaves Lets Lists Loads Locks Looks Makes Maps Marks
        Measures Moves Multiplies Names Offers Opens Packs Parses Places Plans Predicts Prepares Publishes Puts
        Quantizes Queues Reads Records Refuses Rejects Remembers Removes Renders Repeats Reports Returns Rotates Rounds
        Runs Saves Says Scales Scores Searches Sees Selects Sends Sets Shares Shows Splits Spreads Stands Starts
        Summarizes Sums Supplies Syncs Takes Tells Times Translates Tries Tunes Turns Unmaps Uploads Verifies
        Waits Words Writes
        """.split("\\s+"));

    private static final Pattern END_OF_WORD = Pattern.compile("[\\s,;:.]");

    @Test
    void a_public_type_or_method_is_described_by_a_verb_first() throws Exception {
        List<String> places = new ArrayList<>();
        JavaCompiler compiler = ToolProvider.getSystemJavaCompiler();
        try (StandardJavaFileManager files = compiler.getStandardFileManager(null, null, null)) {
            List<File> sources = SourceFilesTest.sources().stream()
                    .filter(JavadocTest::isMain)
                    .map(Path::toFile)
                    .toList();
            JavacTask task = (JavacTask) compiler.getTask(
                    null, files, null, List.of("-proc:none"), null, files.getJavaFileObjectsFromFiles(sources));
            Scanner scanner = new Scanner(DocTrees.instance(task), places);
            for (CompilationUnitTree unit : task.parse()) {
                scanner.scan(unit, null);
            }
            assertThat(scanner.described).isGreaterThan(1000);
        }
        assertThat(places).isEmpty();
    }

    private static boolean isMain(Path file) {
        return file.toString().contains("/src/main/".replace('/', File.separatorChar))
                && !file.endsWith("package-info.java");
    }

    private static final class Scanner extends TreePathScanner<Void, Void> {
        private final DocTrees trees;
        private final List<String> places;
        private int described;

        Scanner(DocTrees trees, List<String> places) {
            this.trees = trees;
            this.places = places;
        }

        @Override
        public Void visitClass(ClassTree type, Void unused) {
            if (isPublic(type.getModifiers())) {
                check(type.getSimpleName().toString());
            }
            return super.visitClass(type, unused);
        }

        @Override
        public Void visitMethod(MethodTree method, Void unused) {
            if (isPublic(method.getModifiers())) {
                check(method.getName().toString());
            }
            return super.visitMethod(method, unused);
        }

        /** Said to be, or as a member of an interface. */
        private boolean isPublic(ModifiersTree modifiers) {
            Tree around = getCurrentPath().getParentPath().getLeaf();
            return modifiers.getFlags().contains(Modifier.PUBLIC)
                    || around.getKind() == Tree.Kind.INTERFACE
                            && !modifiers.getFlags().contains(Modifier.PRIVATE);
        }

        private void check(String name) {
            DocCommentTree comment = trees.getDocCommentTree(getCurrentPath());
            if (comment == null) {
                return;
            }
            described++;
            String text = comment.getFullBody().stream().map(Object::toString).collect(Collectors.joining());
            String word = END_OF_WORD.split(text, 2)[0];
            if (!VERBS.contains(word)) {
                CompilationUnitTree unit = getCurrentPath().getCompilationUnit();
                long line = unit.getLineMap()
                        .getLineNumber(trees.getSourcePositions()
                                .getStartPosition(unit, getCurrentPath().getLeaf()));
                places.add(unit.getSourceFile().getName() + ":" + line + " " + name + ": \"" + word
                        + "\" is no verb in " + text);
            }
        }
    }
}
