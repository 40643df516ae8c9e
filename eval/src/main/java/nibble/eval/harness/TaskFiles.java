package nibble.eval.harness;

import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.stream.Stream;
import nibble.datasets.BadDatasetException;
import nibble.datasets.Utf8File;
import nibble.files.Reasons;
import org.jspecify.annotations.Nullable;

/**
 * Reads files of tasks, with the files that they include.
 *
 * @param root a folder of the user's; empty for the files that come with Nibble
 */
record TaskFiles(Optional<Path> root) {
    private static final long MAX_BYTES = 16L << 20;
    private static final Set<String> SKIPPED = Set.of("__pycache__", ".ipynb_checkpoints");
    /** The names of the bundled files, one a line. */
    private static final String LIST = "tasks/files.txt";

    static TaskFiles bundled() {
        return new TaskFiles(Optional.empty());
    }

    /** Names of all files with the extension {@code .yaml}, relative to the root, in order. */
    List<String> names() {
        if (root.isEmpty()) {
            return resource(LIST).lines().filter(name -> name.endsWith(".yaml")).toList();
        }
        Path folder = root.get();
        try (Stream<Path> all = Files.walk(folder)) {
            return all.filter(Files::isRegularFile)
                    .map(folder::relativize)
                    .filter(file -> file.toString().endsWith(".yaml") && !skipped(file))
                    .map(file -> file.toString().replace('\\', '/'))
                    .sorted()
                    .toList();
        } catch (IOException e) {
            throw new BadDatasetException(folder + ": cannot be read: " + Reasons.of(e), e);
        }
    }

    private static boolean skipped(Path file) {
        for (Path part : file) {
            if (SKIPPED.contains(part.toString())) {
                return true;
            }
        }
        return false;
    }

    /** Where a file is, for messages and results. */
    String place(String name) {
        return root.map(folder -> folder.resolve(name).normalize().toString()).orElse("bundled:" + name);
    }

    /** The folder of a file; none for those that come with Nibble. */
    Optional<Path> folder(String name) {
        return root.map(
                folder -> folder.resolve(name).toAbsolutePath().normalize().getParent());
    }

    /**
     * The keys and values of a file and, where it has no value of its own, of the files that it includes.
     *
     * @throws BadDatasetException if a file cannot be read, is no YAML, or includes itself
     */
    Map<String, @Nullable Object> read(String name) {
        return read(Path.of(name).normalize(), new HashSet<>());
    }

    private Map<String, @Nullable Object> read(Path name, Set<Path> seen) {
        String place = place(name.toString());
        if (!seen.add(name)) {
            throw new BadDatasetException(place + ": includes itself");
        }
        Map<String, @Nullable Object> own = Yaml11.read(text(name), place, family(name));
        Object include = own.remove("include");
        Map<String, @Nullable Object> merged = new LinkedHashMap<>();
        for (Object one : include == null ? List.of() : include instanceof List<?> list ? list : List.of(include)) {
            Map<String, @Nullable Object> other =
                    read(name.resolveSibling(String.valueOf(one)).normalize(), seen);
            other.remove("task_list");
            merged.putAll(other);
        }
        merged.putAll(own);
        return merged;
    }

    private String family(Path name) {
        Path parent = root.map(folder -> folder.resolve(name).toAbsolutePath().normalize())
                .orElse(name)
                .getParent();
        return parent == null ? "" : String.valueOf(parent.getFileName());
    }

    private String text(Path name) {
        return root.map(folder -> Utf8File.read(folder.resolve(name), MAX_BYTES).text())
                .orElseGet(() -> resource("tasks/" + name.toString().replace('\\', '/')));
    }

    private static String resource(String name) {
        try (InputStream in = TaskFiles.class.getResourceAsStream(name)) {
            if (in == null) {
                throw new BadDatasetException("bundled " + name + " is missing from this build; build Nibble again");
            }
            return new String(in.readAllBytes(), StandardCharsets.UTF_8);
        } catch (IOException e) {
            throw new BadDatasetException("bundled " + name + " cannot be read: " + Reasons.of(e), e);
        }
    }

    /** Texts of a list, or of one text. */
    static List<String> texts(@Nullable Object value) {
        List<String> texts = new ArrayList<>();
        for (Object one : value == null ? List.of() : value instanceof List<?> list ? list : List.of(value)) {
            texts.add(String.valueOf(one));
        }
        return texts;
    }
}
