package nibble.cli.option;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Collection;
import org.jspecify.annotations.Nullable;

/**
 * Looks whether what a command is given to read is there. Every command asks this first: whatever else would be said of
 * a file that does not exist is beside the point.
 */
public final class InputFile {
    private InputFile() {}

    /**
     * Checks that a file is there.
     *
     * @param what the option that named it, as {@code --eval}; empty for a parameter
     * @throws InputException if {@code file} is given and is no file
     */
    public static void require(String what, @Nullable Path file) {
        // A pipe is a file to read too.
        if (file != null && (Files.isDirectory(file) || !Files.exists(file))) {
            throw refused(
                    what,
                    file,
                    Files.exists(file) ? "is a folder; give the path of a file" : "no such file; check the path");
        }
    }

    /**
     * Checks that files are there.
     *
     * @throws InputException if one of {@code files} is no file
     */
    public static void require(String what, Collection<Path> files) {
        files.forEach(file -> require(what, file));
    }

    /**
     * Checks that a folder is there.
     *
     * @throws InputException if {@code folder} is given and is no folder
     */
    public static void requireFolder(String what, @Nullable Path folder) {
        if (folder != null && !Files.isDirectory(folder)) {
            throw refused(
                    what,
                    folder,
                    Files.exists(folder) ? "is a file; give the path of a folder" : "no such folder; check the path");
        }
    }

    private static InputException refused(String what, Path path, String why) {
        return new InputException((what.isEmpty() ? "" : what + " ") + path + ": " + why);
    }
}
