package nibble.datasets;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Comparator;
import java.util.stream.Stream;
import nibble.files.Reasons;
import org.jspecify.annotations.Nullable;

/**
 * Where native libraries are unpacked: {@code $NIBBLE_CACHE}, else {@code ~/.cache/nibble}, else a temporary folder
 * that is gone when the JVM ends.
 */
final class NativeCache {
    private static final Path FOLDER = choose(System.getenv("NIBBLE_CACHE"), System.getProperty("user.home"));

    private NativeCache() {}

    static Path folder() {
        return FOLDER;
    }

    static Path choose(@Nullable String configured, @Nullable String home) {
        if (configured != null && !configured.isBlank()) {
            return Path.of(configured).toAbsolutePath();
        }
        if (home != null && !home.isBlank()) {
            Path folder = Path.of(home, ".cache", "nibble").toAbsolutePath();
            try {
                Files.createDirectories(folder);
                if (Files.isWritable(folder)) {
                    return folder;
                }
            } catch (IOException e) {
                // A home that cannot be written, as in many containers: the temporary folder below serves.
            }
        }
        try {
            // A fresh folder that only this user can enter: a fixed name in a shared one could be planted by another.
            Path folder = Files.createTempDirectory("nibble-cache-");
            Runtime.getRuntime().addShutdownHook(new Thread(() -> delete(folder), "delete " + folder));
            return folder;
        } catch (IOException e) {
            throw new BadDatasetException(
                    "no folder for the tokenizer library: " + Reasons.of(e) + "; set NIBBLE_CACHE", e);
        }
    }

    private static void delete(Path folder) {
        try (Stream<Path> tree = Files.walk(folder)) {
            for (Path path : tree.sorted(Comparator.reverseOrder()).toList()) {
                Files.delete(path);
            }
        } catch (IOException | UncheckedIOException e) {
            System.err.println(folder + ": could not be removed: " + Reasons.of(e));
        }
    }
}
