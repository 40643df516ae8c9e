package nibble.files.output;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

/** Asks for the free space of disks before work starts, rather than finding a full disk out. */
public final class FreeSpace {
    private FreeSpace() {}

    /**
     * Returns the bytes that this program may still write where {@code path}, or the nearest parent that exists,
     * lies.
     */
    public static long of(Path path) {
        Path existing = path.toAbsolutePath().normalize();
        while (!Files.exists(existing) && existing.getParent() != null) {
            existing = existing.getParent();
        }
        try {
            return Files.getFileStore(existing).getUsableSpace();
        } catch (IOException e) {
            throw OutputException.of(existing, "looking for free space", e);
        }
    }

    /**
     * Checks that a disk has room.
     *
     * @throws OutputException with both figures, if less than {@code bytes} are free
     */
    public static void require(Path path, long bytes) {
        long free = of(path);
        if (free < bytes) {
            throw new OutputException(
                    path,
                    String.format(
                            java.util.Locale.ROOT,
                            "%,d bytes are needed, %,d are free on this disk; free some space or choose another disk",
                            bytes,
                            free));
        }
    }
}
