package nibble.files.output;

import java.io.IOException;
import java.nio.file.DirectoryNotEmptyException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.Objects;
import java.util.UUID;
import nibble.files.Reasons;

/**
 * Makes an output folder that appears whole or not at all: files are written to a hidden folder ({@link OutputPlace}),
 * which takes the folder's name on {@link #commit}. Closing without commit, or an end of the JVM that runs shutdown
 * hooks (Ctrl-C), deletes all that was made.
 */
public final class OutputFolder implements AutoCloseable {
    private final OutputPlace place;
    private final Path partial;
    /** Parents that did not exist, innermost first. */
    private final Deque<Path> madeParents;

    private final Thread atShutdown = new Thread(this::deletePartialQuietly, "delete unfinished output");
    private boolean done;

    private OutputFolder(OutputPlace place, Path partial, Deque<Path> madeParents) {
        this.place = place;
        this.partial = partial;
        this.madeParents = madeParents;
    }

    /**
     * Makes the temporary folder beside {@code out}; missing parents are made too.
     *
     * @throws OutputException if {@code out} is a file or a folder that is not empty, or cannot be made
     */
    public static OutputFolder begin(Path out) {
        try {
            OutputPlace place = OutputPlace.of(out);
            Path partial =
                    place.hidden(".partial-" + UUID.randomUUID().toString().substring(0, 8));
            place.refuseOccupied(partial);
            Deque<Path> made = makeParents(Objects.requireNonNull(place.target().getParent()));
            OutputFolder folder = new OutputFolder(place, partial, made);
            try {
                Runtime.getRuntime().addShutdownHook(folder.atShutdown);
                Files.createDirectory(partial);
            } catch (IOException | IllegalStateException e) {
                folder.close();
                throw e;
            }
            return folder;
        } catch (IOException e) {
            throw OutputException.of(out, "making the output folder", e);
        }
    }

    static Deque<Path> makeParents(Path parent) throws IOException {
        Deque<Path> absent = new ArrayDeque<>();
        for (Path p = parent; p != null && !Files.exists(p); p = p.getParent()) {
            absent.push(p);
        }
        Deque<Path> made = new ArrayDeque<>();
        try {
            for (Path p : absent) {
                Files.createDirectory(p);
                made.push(p);
            }
        } catch (IOException e) {
            for (Path p : made) {
                Files.deleteIfExists(p);
            }
            throw e;
        }
        return made;
    }

    /** Returns the folder to write into until {@link #commit}. */
    public Path path() {
        return partial;
    }

    /**
     * Makes everything written durable and gives the folder its name.
     *
     * @throws OutputException if the disk refuses or another program has filled the target meanwhile
     */
    public void commit() {
        requireOpen();
        try {
            Durable.syncTree(partial);
            giveName();
        } catch (IOException e) {
            throw OutputException.of(place.target(), "giving the finished output its name", e);
        }
    }

    /** In one piece for the shutdown hook, which either comes before it or finds nothing to delete. */
    private synchronized void giveName() throws IOException {
        requireOpen();
        place.refuseOccupied(partial);
        place.take(partial);
        done = true;
        removeHook();
    }

    private synchronized void requireOpen() {
        if (done) {
            throw new IllegalStateException("the output folder is closed or committed already");
        }
    }

    /** Deletes everything that was made unless it was committed. */
    @Override
    public synchronized void close() {
        if (done) {
            return;
        }
        done = true;
        removeHook();
        try {
            deleteAll();
        } catch (IOException e) {
            throw OutputException.of(partial, "removing the unfinished output", e);
        }
    }

    private void deleteAll() throws IOException {
        Durable.deleteTree(partial);
        deleteEmpty(madeParents);
    }

    /** Deletes folders, innermost first, until one is in use. */
    static void deleteEmpty(Deque<Path> madeParents) throws IOException {
        for (Path parent : madeParents) {
            try {
                Files.deleteIfExists(parent);
            } catch (DirectoryNotEmptyException e) {
                // Someone else uses it now.
                return;
            }
        }
    }

    /** The shutdown hook. The program goes on while it runs, so it must not be able to write into what is deleted. */
    private synchronized void deletePartialQuietly() {
        if (done) {
            return;
        }
        done = true;
        try {
            // Under another name first: what is still written by the old one then fails, instead of coming in between
            // the
            // last file's deletion and the folder's.
            Path doomed = partial.resolveSibling(partial.getFileName() + ".deleted");
            try {
                Files.move(partial, doomed, StandardCopyOption.ATOMIC_MOVE);
                Durable.deleteTree(doomed);
            } catch (NoSuchFileException e) {
                // Not made yet, or gone with a folder around it.
            }
            deleteAll();
        } catch (IOException e) {
            System.err.println(partial + ": could not be removed: " + Reasons.of(e));
        }
    }

    private void removeHook() {
        try {
            Runtime.getRuntime().removeShutdownHook(atShutdown);
        } catch (IllegalStateException e) {
            // The JVM is ending: the hook runs or has run, and finds nothing more to delete.
        }
    }
}
