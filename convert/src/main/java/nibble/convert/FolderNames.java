package nibble.convert;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;

/** The files of a folder. */
final class FolderNames {
    private FolderNames() {}

    /**
     * Names of the files, links to files among them, sorted.
     *
     * @throws BadCheckpointException if the folder cannot be listed
     */
    static List<String> of(Path folder) {
        try (Stream<Path> entries = Files.list(folder)) {
            return entries.filter(Files::isRegularFile)
                    .map(path -> path.getFileName().toString())
                    .sorted()
                    .toList();
        } catch (IOException e) {
            throw new BadCheckpointException(folder, "cannot be listed: " + e, e);
        }
    }
}
