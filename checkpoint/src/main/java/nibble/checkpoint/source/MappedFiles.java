package nibble.checkpoint.source;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.BasicFileAttributes;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/**
 * Remembers how long files were when they were mapped. A read behind the end of a file that was cut short since ends
 * the process, so a caller asks before it reads. A file that was deleted or replaced keeps its old content as long as
 * it is mapped.
 */
public final class MappedFiles {
    private record Mapped(Path file, @Nullable Object key, long bytes) {}

    private final List<Mapped> files = new ArrayList<>();

    /** Takes the present lengths; a file that cannot be asked for it is left out. */
    public MappedFiles(List<Path> paths) {
        for (Path path : paths) {
            BasicFileAttributes found = attributes(path);
            if (found != null) {
                files.add(new Mapped(path, found.fileKey(), found.size()));
            }
        }
    }

    /**
     * Looks whether all files are still as long.
     *
     * @throws BadCheckpointException for the first that is shorter
     */
    public void requireWhole() {
        for (Mapped mapped : files) {
            BasicFileAttributes found = attributes(mapped.file);
            if (found != null && found.size() < mapped.bytes && Objects.equals(found.fileKey(), mapped.key)) {
                throw new BadCheckpointException(
                        mapped.file,
                        "was cut to " + found.size() + " of " + mapped.bytes
                                + " bytes while it was in use; write a new file beside it and rename that instead");
            }
        }
    }

    private static @Nullable BasicFileAttributes attributes(Path file) {
        try {
            return Files.readAttributes(file, BasicFileAttributes.class);
        } catch (IOException e) {
            return null;
        }
    }
}
