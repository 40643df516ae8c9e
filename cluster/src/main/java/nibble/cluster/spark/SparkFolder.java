package nibble.cluster.spark;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import nibble.files.Reasons;

/** Makes a folder that Spark's worker takes for its installation: it wants one with a folder of jars. */
final class SparkFolder implements AutoCloseable {
    private final Path path;

    private SparkFolder(Path path) {
        this.path = path;
    }

    static SparkFolder make() {
        try {
            Path path = Files.createTempDirectory("nibble-spark-");
            // Empty: the class path of the driver has them all.
            Files.createDirectory(path.resolve("jars"));
            return new SparkFolder(path);
        } catch (IOException e) {
            throw new UncheckedIOException("a temporary folder for Spark cannot be made: " + Reasons.withFile(e), e);
        }
    }

    Path path() {
        return path;
    }

    @Override
    public void close() {
        try {
            Files.deleteIfExists(path.resolve("jars"));
            Files.deleteIfExists(path);
        } catch (IOException e) {
            throw new UncheckedIOException(path + ": cannot be deleted: " + Reasons.of(e), e);
        }
    }
}
