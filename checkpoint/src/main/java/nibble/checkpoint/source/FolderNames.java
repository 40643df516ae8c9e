package nibble.checkpoint.source;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import nibble.files.Reasons;

/** Lists the files of a folder. */
public final class FolderNames {
    /** Names that only files have; a folder of such a name is refused by what reads it. */
    private static final Pattern FILE_NAME = Pattern.compile(".*\\.(json|model|jinja|safetensors|bin|gguf|pth?)");

    private FolderNames() {}

    /**
     * Returns the names of the files, links among them, sorted.
     *
     * @throws BadCheckpointException if the folder cannot be listed
     */
    public static List<String> of(Path folder) {
        try (Stream<Path> entries = Files.list(folder)) {
            // A link into nothing has a name too: its reader says so.
            return entries.filter(path -> !Files.isDirectory(path)
                            || FILE_NAME.matcher(path.toString()).matches())
                    .map(path -> path.getFileName().toString())
                    .sorted()
                    .toList();
        } catch (IOException e) {
            throw new BadCheckpointException(folder, "cannot be listed: " + Reasons.of(e), e);
        }
    }
}
