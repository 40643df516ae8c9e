package nibble.cluster.shared;

import java.io.BufferedOutputStream;
import java.io.FileNotFoundException;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.io.Serializable;
import java.io.UncheckedIOException;
import java.util.Arrays;
import nibble.cluster.spark.ClusterException;
import nibble.files.Reasons;
import org.apache.hadoop.fs.CommonPathCapabilities;
import org.apache.hadoop.fs.FSDataOutputStream;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;
import org.apache.spark.SparkEnv;
import org.apache.spark.deploy.SparkHadoopUtil;
import org.jspecify.annotations.Nullable;

/**
 * Holds files that all hosts see, in any file system of Hadoop: a local one, NFS, HDFS, S3. A file appears whole:
 * by a rename, or in an object store, whose renames are copies, when its stream is closed. Of several writers of one
 * file any wins, as all write the same bytes.
 *
 * @param uri of the folder
 */
public record SharedFolder(String uri) implements Serializable {
    private static final String TEMPORARY = ".part-";
    private static final int BUFFER = 1 << 20;
    private static final int DELETIONS = 10;

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
        try {
            return path("x")
                    .getFileSystem(SparkHadoopUtil.get()
                            .newConfiguration(SparkEnv.get().conf()));
        } catch (RuntimeException e) {
            if (e.getCause() instanceof ClassNotFoundException absent) {
                throw new ClusterException(
                        uri + ": the class of this file system, " + absent.getMessage()
                                + ", is not among Spark's jars; put its jar there on every host, for s3a:// hadoop-aws"
                                + " of the version of hadoop-client-api, with the AWS SDK",
                        e);
            }
            throw e;
        }
    }

    /** Makes the folder, unless it is there. */
    public void make() {
        try {
            files().mkdirs(new Path(uri));
        } catch (IOException e) {
            throw failed("", "making", e);
        }
    }

    /**
     * Writes a file, if it is not there yet. Where the folder is gone it fails: a task that Spark no longer needs, and
     * that goes on for a moment, leaves nothing behind a command that ended.
     *
     * @param attempt a name that no other writer has
     */
    public void write(String name, String attempt, Content content) {
        try {
            FileSystem files = files();
            Path whole = path(name);
            if (files.exists(whole)) {
                return;
            }
            if (files.hasPathCapability(whole, CommonPathCapabilities.ABORTABLE_STREAM)) {
                fill(files, files.create(whole, true), content, FSDataOutputStream::abort);
                return;
            }
            Path own = path(name + TEMPORARY + attempt);
            requireFolder(files);
            fill(files, files.createFile(own).overwrite(true).build(), content, out -> {
                out.close();
                files.delete(own, false);
            });
            give(files, own, whole);
        } catch (IOException e) {
            throw failed(name, "writing", e);
        }
    }

    /** Ends a file that did not become whole. */
    @FunctionalInterface
    private interface Drop {
        void of(FSDataOutputStream unfinished) throws IOException;
    }

    private void fill(FileSystem files, FSDataOutputStream out, Content content, Drop drop) throws IOException {
        try {
            OutputStream buffered = new BufferedOutputStream(out, BUFFER);
            content.write(buffered);
            buffered.flush();
            requireFolder(files);
        } catch (IOException | RuntimeException | Error e) {
            try {
                drop.of(out);
            } catch (IOException | RuntimeException second) {
                e.addSuppressed(second);
            }
            throw e;
        }
        out.close();
    }

    private void requireFolder(FileSystem files) throws IOException {
        if (!files.exists(new Path(uri))) {
            throw new FileNotFoundException("the folder is gone: the command that made it has ended");
        }
    }

    /** Renames a file, unless another writer was first: file systems say that by an answer or by an exception. */
    private static void give(FileSystem files, Path own, Path whole) throws IOException {
        @Nullable IOException refused = null;
        try {
            if (!files.exists(whole) && files.rename(own, whole)) {
                return;
            }
        } catch (IOException e) {
            refused = e;
        }
        if (!files.exists(whole)) {
            throw refused != null ? refused : new IOException("cannot be given its name");
        }
        files.delete(own, false);
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
            return files().open(path(name), BUFFER);
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

    /** Deletes the folder, unless something is in it. */
    public void deleteIfEmpty() {
        Path folder = new Path(uri);
        try {
            FileSystem files = files();
            if (files.exists(folder) && files.listStatus(folder).length == 0) {
                files.delete(folder, false);
            }
        } catch (IOException e) {
            throw failed("", "deleting", e);
        }
    }

    /** Deletes the folder with all that is in it; again where a task still began a file meanwhile. */
    public void deleteAll() {
        Path folder = new Path(uri);
        try {
            FileSystem files = files();
            for (int i = 0; i < DELETIONS && files.exists(folder); i++) {
                files.delete(folder, true);
            }
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
