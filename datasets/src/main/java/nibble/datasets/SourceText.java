package nibble.datasets;

import java.nio.file.Path;
import nibble.files.Content;
import nibble.files.FileFault;

/**
 * Opens every file of texts, data sets and tokenizers for its reader: what is in a file's place instead of it is
 * refused here.
 */
public final class SourceText {
    private SourceText() {}

    /**
     * Looks at a file's first bytes before its reader does.
     *
     * @param fine kinds of content that are right for this file besides text
     * @throws BadDatasetException if it is absent, a folder, unreadable, empty, or something else in its place: a Git
     *     LFS pointer, a web page, another format
     */
    public static void require(Path file, Content... fine) {
        FileFault.of(file, fine).ifPresent(fault -> {
            throw new BadDatasetException(file + ": " + fault);
        });
    }
}
