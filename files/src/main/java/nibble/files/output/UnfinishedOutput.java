package nibble.files.output;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.List;
import java.util.Objects;
import java.util.Set;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;

/**
 * Makes an output folder that appears whole or not at all, as {@link OutputFolder}, but whose unfinished state outlives
 * the process:
 *
 * <pre>
 *  parent/OUT                      absent or empty until {@link #commit}
 *  parent/.OUT.unfinished/lock     held while a process works on it
 *  parent/.OUT.unfinished/output/  becomes OUT
 *  parent/.OUT.unfinished/journal.jsonl  what is durable ({@link JournalFile})
 *  parent/.OUT.unfinished/...      whatever its writer needs to go on later
 * </pre>
 *
 * <p>Where nothing can be renamed over OUT, all this lies in {@code OUT/.nibble.unfinished} ({@link OutputPlace}).
 *
 * <p>Owns the lock; one process at a time. Used by one thread at a time.
 */
public final class UnfinishedOutput implements AutoCloseable {
    private static final String OUTPUT = "output";
    private static final String UNFINISHED = ".unfinished";
    private static final String JOURNAL = "journal.jsonl";

    /** There once the output is whole and is being moved up, file by file, from inside its own folder. */
    private static final String MOVING = "moving";

    private final OutputPlace place;
    private final Path state;
    private final Deque<Path> madeParents;
    private final FolderLock lock;

    private UnfinishedOutput(OutputPlace place, Path state, Deque<Path> madeParents, FolderLock lock) {
        this.place = place;
        this.state = state;
        this.madeParents = madeParents;
        this.lock = lock;
    }

    /**
     * Locks the state of {@code out}, which is made if it is absent; missing parents too. Leftovers of a run that ended
     * before it had finished anything are deleted.
     *
     * @param resume whether leftovers of an earlier run are welcome; otherwise they are refused
     * @throws OutputException if {@code out} is a file or a folder that is not empty, another process works on it,
     *     there are leftovers that are not welcome, or the disk refuses
     */
    public static UnfinishedOutput open(Path out, boolean resume) {
        try {
            return open(OutputPlace.of(out), resume);
        } catch (IOException e) {
            throw OutputException.of(out, "making the output folder", e);
        }
    }

    static UnfinishedOutput open(OutputPlace place, boolean resume) {
        try {
            Path state = place.hidden(UNFINISHED);
            if (!resume && Files.exists(state.resolve(MOVING))) {
                throw leftovers(place.target(), state);
            }
            place.refuseOccupied(state);
            Deque<Path> made = OutputFolder.makeParents(
                    Objects.requireNonNull(place.target().getParent()));
            if (!resume && !Files.exists(state.resolve(FolderLock.NAME)) && !isEmpty(state, state.resolve(OUTPUT))) {
                // Of another program, or of a person.
                throw leftovers(place.target(), state);
            }
            UnfinishedOutput output = new UnfinishedOutput(place, state, made, FolderLock.of(state));
            try {
                if (output.holdsNothingFinished()) {
                    output.clear(Set.of(FolderLock.NAME));
                } else if (!resume) {
                    throw leftovers(place.target(), state);
                }
                Files.createDirectories(output.path());
                Durable.sync(state);
                Durable.sync(state.resolveSibling("."));
            } catch (IOException | RuntimeException e) {
                output.close();
                throw e;
            }
            return output;
        } catch (IOException e) {
            throw OutputException.of(place.target(), "making the output folder", e);
        }
    }

    private static OutputException leftovers(Path target, Path state) {
        return new OutputException(
                target,
                "an earlier run was not finished; run the same command with --resume to continue it, or delete " + state
                        + " to begin anew");
    }

    /**
     * Tries, before a download or a measurement, whether {@link #open} will be able to begin; leaves nothing.
     *
     * @throws OutputException as {@link #open} would throw
     */
    public static void require(Path out, boolean resume) {
        if (!resume || !Files.exists(stateOf(out))) {
            CountDownLatch tried = new CountDownLatch(1);
            // Threads run on while the JVM ends: it waits until nothing is left of this.
            Thread atShutdown = new Thread(() -> await(tried), "wait until the output was tried");
            try {
                Runtime.getRuntime().addShutdownHook(atShutdown);
                try (UnfinishedOutput output = open(out, resume)) {
                    output.discard();
                } finally {
                    tried.countDown();
                }
                Runtime.getRuntime().removeShutdownHook(atShutdown);
            } catch (IllegalStateException e) {
                // The JVM is ending: nothing is tried any more.
            }
        }
    }

    private static void await(CountDownLatch tried) {
        try {
            boolean _ = tried.await(10, TimeUnit.SECONDS);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    /**
     * Removes what is left of a run that was ended after its output had got its name.
     *
     * @return whether there was such a rest, and so whether {@code out} is the finished output of it
     */
    public static boolean removeRestOfFinished(Path out) {
        try {
            return removeRestOfFinished(OutputPlace.of(out));
        } catch (IOException e) {
            throw OutputException.of(out, "removing the rest of a finished run", e);
        }
    }

    static boolean removeRestOfFinished(OutputPlace place) {
        try {
            Path state = place.hidden(UNFINISHED);
            boolean moving = place.inside() && Files.exists(state.resolve(MOVING));
            boolean named = !Files.exists(state.resolve(OUTPUT)) && !isEmpty(place.target(), state);
            if (!Files.isDirectory(state) || !named && !moving) {
                return false;
            }
            try (UnfinishedOutput rest = new UnfinishedOutput(place, state, new ArrayDeque<>(), FolderLock.of(state))) {
                if (Files.exists(rest.path())) {
                    place.take(rest.path());
                }
                rest.deleteState();
            }
            return true;
        } catch (IOException e) {
            throw OutputException.of(place.target(), "removing the rest of a finished run", e);
        }
    }

    /** Returns the folder of the unfinished state of {@code out}. */
    public static Path stateOf(Path out) {
        try {
            return OutputPlace.of(out).hidden(UNFINISHED);
        } catch (IOException e) {
            throw OutputException.of(out, "looking for an unfinished run", e);
        }
    }

    /** Returns the journal of {@code out}'s unfinished run, whether there is one or not. */
    public static Path journalOf(Path out) {
        return stateOf(out).resolve(JOURNAL);
    }

    /**
     * Deletes the state and gives up the lock. The journal goes last: what it tells can be read as long as a finished
     * run has not said that it is finished.
     */
    private void deleteState() throws IOException {
        clear(Set.of(FolderLock.NAME, JOURNAL));
        clear(Set.of(FolderLock.NAME));
        lock.remove();
    }

    /**
     * Whether the run that left this state, if any did, ended before its journal named anything that is worth resuming.
     */
    private boolean holdsNothingFinished() throws IOException {
        Set<String> begun = Set.of(FolderLock.NAME, OUTPUT, JOURNAL, JOURNAL + JournalFile.NEXT);
        try (Stream<Path> entries = Files.list(state)) {
            return entries.allMatch(entry -> begun.contains(String.valueOf(entry.getFileName())))
                    && !JournalFile.holdsWork(state.resolve(JOURNAL));
        }
    }

    /** Deletes everything but what is named. */
    private void clear(Set<String> kept) throws IOException {
        if (!Files.isDirectory(state)) {
            return;
        }
        List<Path> found;
        try (Stream<Path> entries = Files.list(state)) {
            found = entries.filter(entry -> !kept.contains(String.valueOf(entry.getFileName())))
                    .toList();
        }
        for (Path entry : found) {
            Durable.deleteTree(entry);
        }
    }

    private static boolean isEmpty(Path folder, Path state) throws IOException {
        if (!Files.isDirectory(folder)) {
            return true;
        }
        try (Stream<Path> entries = Files.list(folder)) {
            return entries.allMatch(entry -> entry.equals(state));
        }
    }

    /** Returns the folder that becomes the output; what is in it now may stem from an earlier run. */
    public Path path() {
        return state.resolve(OUTPUT);
    }

    /** Returns the folder for what is needed to go on later; gone after {@link #commit}. */
    public Path state() {
        return state;
    }

    /** Returns the file where its writer notes what is durable; gone after {@link #commit}. */
    public Path journal() {
        return state.resolve(JOURNAL);
    }

    /**
     * Makes everything in {@link #path} durable, gives it the output's name and removes the state.
     *
     * @throws OutputException if the disk refuses or another program has filled the target meanwhile; the state is
     *     kept, and the lock
     */
    public void commit() {
        try {
            Durable.syncTree(path());
            place.refuseOccupied(state);
            if (place.inside() && !Files.exists(state.resolve(MOVING))) {
                Files.createFile(state.resolve(MOVING));
                Durable.sync(state);
            }
            place.take(path());
            deleteState();
        } catch (IOException e) {
            throw OutputException.of(place.target(), "giving the finished output its name", e);
        }
    }

    /** Deletes the state, and the parents that were made for it; nothing that is no longer locked. */
    public void discard() {
        if (lock.isClosed()) {
            return;
        }
        try {
            deleteState();
            OutputFolder.deleteEmpty(madeParents);
        } catch (IOException e) {
            throw OutputException.of(state, "removing the unfinished output", e);
        } finally {
            close();
        }
    }

    /** Gives up the lock; the state stays. */
    @Override
    public void close() {
        try {
            lock.close();
        } catch (IOException e) {
            throw OutputException.of(state, "unlocking", e);
        }
    }
}
