package nibble.cluster.quantize;

import java.io.IOException;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.Comparator;
import java.util.List;
import java.util.Objects;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/**
 * Holds an output folder under a name of one task attempt's own, until it takes the output's name by a rename. Of
 * several attempts the first wins; all make the same bytes.
 */
public final class TaskFolder implements AutoCloseable {
    private static final String ATTEMPT = ".attempt-";
    /** The rest of an attempt's name, and what an unfinished output adds to it. */
    private static final String NUMBER = "[A-Za-z0-9_-]*[0-9](\\..*)?";

    private final Path out;
    private final Path own;

    private TaskFolder(Path out, Path own) {
        this.out = out;
        this.own = own;
    }

    /**
     * Returns the folder of an attempt; nothing is made yet.
     *
     * @param attempt name that no other task has, as {@link nibble.cluster.spark.TaskPlace#attempt()}
     */
    public static TaskFolder of(Path out, String attempt) {
        Path whole = out.toAbsolutePath().normalize();
        return new TaskFolder(whole, whole.resolveSibling(whole.getFileName() + ATTEMPT + attempt));
    }

    /** Returns the folder to write into. */
    public Path path() {
        return own;
    }

    /**
     * Gives the folder the output's name, unless another attempt has done that.
     *
     * @throws IOException if the disk refuses
     */
    public void commit() throws IOException {
        try {
            Files.move(own, out, StandardCopyOption.ATOMIC_MOVE);
        } catch (FileSystemException e) {
            // Each system has its own exception for a target that is there.
            if (!Files.isDirectory(out)) {
                throw e;
            }
            delete(own);
        }
    }

    /** Returns whether a path has the form of an attempt's, which {@link #sweep} of another output would delete. */
    public static boolean isAttempt(Path path) {
        return String.valueOf(path.getFileName()).matches(".*" + Pattern.quote(ATTEMPT) + NUMBER);
    }

    /** Deletes what attempts left that were lost. */
    public static void sweep(Path out) throws IOException {
        Path whole = out.toAbsolutePath().normalize();
        String name = whole.getFileName() + ATTEMPT;
        Path parent = Objects.requireNonNull(whole.getParent());
        if (!Files.isDirectory(parent)) {
            return;
        }
        List<Path> left;
        try (Stream<Path> files = Files.list(parent)) {
            left = files.filter(file -> file.getFileName().toString().matches("\\.?" + Pattern.quote(name) + NUMBER))
                    .toList();
        }
        for (Path path : left) {
            delete(path);
        }
    }

    private static void delete(Path folder) throws IOException {
        if (!Files.exists(folder)) {
            return;
        }
        List<Path> innermostFirst;
        try (Stream<Path> files = Files.walk(folder)) {
            innermostFirst = files.sorted(Comparator.reverseOrder()).toList();
        }
        for (Path path : innermostFirst) {
            Files.deleteIfExists(path);
        }
    }

    /** Deletes what was not committed. */
    @Override
    public void close() throws IOException {
        delete(own);
    }
}
