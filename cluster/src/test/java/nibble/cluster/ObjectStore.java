package nibble.cluster;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import org.apache.hadoop.fs.Abortable;
import org.apache.hadoop.fs.CommonPathCapabilities;
import org.apache.hadoop.fs.FSDataOutputStream;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.RawLocalFileSystem;
import org.apache.hadoop.util.Progressable;

/**
 * Behaves as S3 through Hadoop does, with files on this machine: a file appears when its stream is closed and never if
 * it is aborted. A rename would be a copy, so it is refused here.
 */
public final class ObjectStore extends RawLocalFileSystem {
    static final String SCHEME = "store";

    /** Gathers an object, which appears by the last step. */
    private static final class Upload extends ByteArrayOutputStream implements Abortable {
        private final Path to;
        private boolean ended;

        Upload(Path to) {
            this.to = to;
        }

        @Override
        public void close() throws IOException {
            if (ended) {
                return;
            }
            ended = true;
            Files.createDirectories(to.getParent());
            Path own = Files.createTempFile(to.getParent(), ".upload", "");
            Files.write(own, toByteArray());
            Files.move(own, to, StandardCopyOption.ATOMIC_MOVE);
        }

        @Override
        public AbortableResult abort() {
            boolean before = ended;
            ended = true;
            return new AbortableResult() {
                @Override
                public boolean alreadyClosed() {
                    return before;
                }

                @Override
                public IOException anyCleanupException() {
                    return null;
                }
            };
        }
    }

    @Override
    public String getScheme() {
        return SCHEME;
    }

    @Override
    public URI getUri() {
        return URI.create(SCHEME + ":///");
    }

    @Override
    public boolean hasPathCapability(org.apache.hadoop.fs.Path path, String capability) throws IOException {
        return capability.equals(CommonPathCapabilities.ABORTABLE_STREAM) || super.hasPathCapability(path, capability);
    }

    @Override
    public FSDataOutputStream create(
            org.apache.hadoop.fs.Path path,
            boolean overwrite,
            int buffer,
            short replication,
            long block,
            Progressable progress)
            throws IOException {
        return new FSDataOutputStream(new Upload(Path.of(path.toUri().getPath())), new FileSystem.Statistics(SCHEME));
    }

    @Override
    public boolean rename(org.apache.hadoop.fs.Path from, org.apache.hadoop.fs.Path to) throws IOException {
        throw new IOException("an object store has no rename");
    }
}
