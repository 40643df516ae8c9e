package nibble.cluster.shared;

import java.io.BufferedOutputStream;
import java.io.FileNotFoundException;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.io.Serializable;
import java.io.UncheckedIOException;
import java.util.Arrays;
import nibble.files.Reasons;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;
import org.apache.spark.SparkEnv;
import org.apache.spark.deploy.SparkHadoopUtil;

/**
 * Holds files that all hosts see, in any file system of Hadoop: a local one, NFS, HDFS, S3. A file appears whole, by
 * its last step, a rename; of several writers of one file the first wins, and all write the same bytes.
 *
 * @param uri of the folder
 */
public record SharedFolder(String uri) implements Serializable {
    private static final String TEMPORARY = ".part-";

    /** Writes a file's content. */
    @FunctionalInterface
    public interface Content {
        /** Writes it. */
        void write(OutputStream to) throws IOException;
    }

    /** Reads a file's content. */
    @FunctionalInterface
    public interface Reading<R> {
        /** Reads it. */
        R of(InputStream from) throws IOException;
    }

    private Path path(String name) {
        return new Path(uri, name);
    }

    private FileSystem files() throws IOException {
        return path("x")
                .getFileSystem(
                        SparkHadoopUtil.get().newConfiguration(SparkEnv.get().conf()));
    }

    /**
     * Writes a file, if it is not there yet.
     *
     * @param attempt a number that no other writer has
     */
    public void write(String name, long attempt, Content content) {
        Path own = path(name + TEMPORARY + attempt);
        try {
            FileSystem files = files();
            try (OutputStream out = new BufferedOutputStream(files.create(own, true), 1 << 20)) {
                content.write(out);
            }
            if (files.exists(path(name)) || !files.rename(own, path(name))) {
                files.delete(own, false);
                if (!files.exists(path(name))) {
                    throw new IOException("cannot be given its name");
                }
            }
        } catch (IOException e) {
            throw failed(name, "writing", e);
        }
    }

    /** Reads a file. */
    public <R> R read(String name, Reading<R> reading) {
        try (InputStream in = open(name)) {
            return reading.of(in);
        } catch (IOException e) {
            throw failed(name, "reading", e);
        }
    }

    /** Returns whether a file is there. */
    public boolean has(String name) {
        try {
            return files().exists(path(name));
        } catch (IOException e) {
            throw failed(name, "looking for", e);
        }
    }

    /**
     * Opens a file.
     *
     * @return a stream that the caller closes
     */
    public InputStream open(String name) {
        try {
            return files().open(path(name), 1 << 20);
        } catch (IOException e) {
            throw failed(name, "reading", e);
        }
    }

    /** Returns how many files there are whose names begin so; unfinished ones do not count. */
    public long count(String prefix) {
        try {
            return Arrays.stream(files().listStatus(new Path(uri)))
                    .map(FileStatus::getPath)
                    .map(Path::getName)
                    .filter(name -> name.startsWith(prefix) && !name.contains(TEMPORARY))
                    .count();
        } catch (FileNotFoundException e) {
            return 0;
        } catch (IOException e) {
            throw failed(prefix, "listing", e);
        }
    }

    /** Deletes a file, if it is there. */
    public void delete(String name) {
        try {
            files().delete(path(name), false);
        } catch (IOException e) {
            throw failed(name, "deleting", e);
        }
    }

    /** Deletes the folder with all that is in it. */
    public void deleteAll() {
        try {
            files().delete(new Path(uri), true);
        } catch (IOException e) {
            throw failed("", "deleting", e);
        }
    }

    private UncheckedIOException failed(String name, String doing, IOException e) {
        return new UncheckedIOException(
                path(name.isEmpty() ? "." : name) + ": " + doing + " failed: " + Reasons.of(e)
                        + "; all hosts need the folder of --shared",
                e);
    }
}
