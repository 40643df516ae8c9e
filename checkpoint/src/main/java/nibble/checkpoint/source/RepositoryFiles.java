package nibble.checkpoint.source;

import java.io.IOException;
import java.nio.file.FileSystemLoopException;
import java.nio.file.FileVisitOption;
import java.nio.file.FileVisitResult;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.SimpleFileVisitor;
import java.nio.file.attribute.BasicFileAttributes;
import java.util.EnumSet;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.function.Consumer;
import nibble.files.Reasons;

/** Lists the files of a folder that belong into a model repository: all but hidden ones. */
public final class RepositoryFiles {
    private static final int MAX_DEPTH = 32;

    private RepositoryFiles() {}

    /**
     * Lists all files below a folder. It follows links and also lists dead ones, which their reader reports. It omits
     * hidden files and folders except {@code .gitattributes}.
     *
     * @return path in the repository, with forward slashes, to the file; sorted by path
     * @throws BadCheckpointException if the folder cannot be read
     */
    public static SortedMap<String, Path> list(Path folder) {
        return list(folder, refused -> {
            throw refused;
        });
    }

    /**
     * Lists as much as can be.
     *
     * @param refused told of each folder below this one that cannot be read
     * @throws BadCheckpointException if the folder itself cannot be read
     */
    public static SortedMap<String, Path> list(Path folder, Consumer<BadCheckpointException> refused) {
        SortedMap<String, Path> files = new TreeMap<>();
        try {
            Files.walkFileTree(folder, EnumSet.of(FileVisitOption.FOLLOW_LINKS), MAX_DEPTH, new SimpleFileVisitor<>() {
                @Override
                public FileVisitResult preVisitDirectory(Path visited, BasicFileAttributes attributes) {
                    return !visited.equals(folder) && hidden(visited)
                            ? FileVisitResult.SKIP_SUBTREE
                            : FileVisitResult.CONTINUE;
                }

                @Override
                public FileVisitResult visitFile(Path file, BasicFileAttributes attributes) {
                    if ((attributes.isRegularFile() || attributes.isSymbolicLink())
                            && (!hidden(file) || file.endsWith(".gitattributes"))) {
                        files.put(name(folder, file), file);
                    }
                    return FileVisitResult.CONTINUE;
                }

                @Override
                public FileVisitResult visitFileFailed(Path visited, IOException e) throws IOException {
                    if (visited.equals(folder)) {
                        throw e;
                    }
                    if (!hidden(visited)) {
                        refused.accept(unlisted(visited, e));
                    }
                    return FileVisitResult.CONTINUE;
                }
            });
        } catch (IOException e) {
            throw unlisted(folder, e);
        }
        return files;
    }

    private static BadCheckpointException unlisted(Path folder, IOException e) {
        String reason = e instanceof FileSystemLoopException ? "a link in it leads back to it" : Reasons.of(e);
        return new BadCheckpointException(folder, "cannot be listed: " + reason, e);
    }

    private static boolean hidden(Path path) {
        return String.valueOf(path.getFileName()).startsWith(".");
    }

    private static String name(Path folder, Path file) {
        StringBuilder name = new StringBuilder();
        for (Path part : folder.relativize(file)) {
            name.append(name.isEmpty() ? "" : "/").append(part);
        }
        return name.toString();
    }
}
