package nibble.checkpoint.source;

import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import nibble.files.Content;
import nibble.files.FileFault;

/**
 * Opens every file of a checkpoint for its reader: what is in a file's place instead of it is refused here, by its own
 * name.
 */
public final class SourceFile {
    private SourceFile() {}

    /**
     * Returns whether a folder has an entry of this name, be it a link into nothing: then its reader says what is
     * wrong.
     */
    public static boolean isNamed(Path file) {
        return Files.exists(file, LinkOption.NOFOLLOW_LINKS);
    }

    /**
     * Looks at a file's first bytes before its reader does.
     *
     * @param fine kinds of content that are right for this file besides text and safetensors
     * @throws BadCheckpointException if it is absent, a folder, unreadable, empty, or something else in its place: a
     *     Git LFS pointer, a web page, another format
     */
    public static void require(Path file, Content... fine) {
        FileFault.of(file, fine).ifPresent(fault -> {
            throw new BadCheckpointException(file, fault);
        });
    }

    /**
     * Does what {@link #require} does, of a file that no reader here knows and that is carried over as it is: it may
     * hold anything that its name does not rule out.
     *
     * @throws BadCheckpointException if it is not what its name says
     */
    public static void requireCarried(Path file) {
        String name = String.valueOf(file.getFileName()).toLowerCase(Locale.ROOT);
        boolean read = List.of(".json", ".model", ".jinja", ".jsonl").stream().anyMatch(name::endsWith);
        (read ? FileFault.of(file) : FileFault.ofPerhapsEmpty(file, Content.values())).ifPresent(fault -> {
            throw new BadCheckpointException(file, fault);
        });
    }
}
