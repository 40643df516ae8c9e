package nibble.convert.hub;

import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.util.Objects;
import java.util.Optional;
import java.util.UUID;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ConcurrentMap;
import java.util.concurrent.locks.Lock;
import java.util.concurrent.locks.ReentrantLock;
import nibble.convert.OutputException;

/**
 * The folder that the hub's tools share, for one repository.
 *
 * <pre>
 * models--org--name/
 *   blobs/ETAG                       content, once; ETAG is the SHA-256 of large files, git's SHA-1 of small ones
 *   refs/REVISION                    the commit that a branch was at
 *   snapshots/COMMIT/PATH            a link to ../../blobs/ETAG
 * .locks/models--org--name/ETAG.lock held while a blob is written
 * </pre>
 */
final class HubCache {
    private static final ConcurrentMap<Path, Lock> IN_THIS_PROCESS =
            new ConcurrentHashMap<>();

    private final Path repo;
    private final Path locks;

    HubCache(Path cache, RepoName name) {
        String folder = "models--" + name.owner() + "--" + name.name();
        this.repo = cache.resolve(folder);
        this.locks = cache.resolve(".locks").resolve(folder);
    }

    /** The snapshot that a branch or a commit names here, if there is one. */
    Optional<Path> snapshot(String revision) {
        Path ref = repo.resolve("refs").resolve(revision);
        try {
            String commit = Files.isRegularFile(ref) ? Files.readString(ref).strip() : revision;
            Path snapshot = snapshotFolder(commit);
            return commit.matches("[0-9a-f]{40}") && Files.isDirectory(snapshot) ? Optional.of(snapshot) : Optional.empty();
        } catch (IOException e) {
            throw OutputException.of(ref, "reading the cache", e);
        }
    }

    Path snapshotFolder(String commit) {
        return repo.resolve("snapshots").resolve(commit);
    }

    Path blob(String etag) {
        return repo.resolve("blobs").resolve(etag);
    }

    /** Where a blob grows until it is whole. */
    Path incomplete(String etag) {
        return repo.resolve("blobs").resolve(etag + ".incomplete");
    }

    /** Bytes free where the cache lies. */
    long usableBytes() {
        try {
            Files.createDirectories(repo.resolve("blobs"));
            return Files.getFileStore(repo).getUsableSpace();
        } catch (IOException e) {
            throw OutputException.of(repo, "making the cache's folder", e);
        }
    }

    /** A step that writes one blob. */
    interface Step {
        void run() throws IOException;
    }

    /** Runs a step while no other thread or process writes the same blob. */
    void locked(String etag, Step step) throws IOException {
        Files.createDirectories(locks);
        Path file = locks.resolve(etag + ".lock");
        // A file lock is the process's: threads of this one need their own.
        Lock lock = IN_THIS_PROCESS.computeIfAbsent(file.toAbsolutePath(), _ -> new ReentrantLock());
        lock.lock();
        try (FileChannel channel = FileChannel.open(file, StandardOpenOption.CREATE, StandardOpenOption.WRITE)) {
            channel.lock();
            step.run();
        } finally {
            lock.unlock();
        }
    }

    /** Gives a whole blob its name in a snapshot: by a link, or by a copy where links are not possible. */
    void link(String commit, String path, String etag) throws IOException {
        Path name = snapshotFolder(commit).resolve(path);
        Path parent = Objects.requireNonNull(name.getParent());
        Files.createDirectories(parent);
        if (Files.exists(name, LinkOption.NOFOLLOW_LINKS) && Files.exists(name)) {
            return;
        }
        Path temporary = parent.resolve("." + UUID.randomUUID() + ".link");
        try {
            Files.createSymbolicLink(temporary, parent.relativize(blob(etag)));
        } catch (UnsupportedOperationException | IOException e) {
            // A file system without links, or Windows without the right to make them.
            Files.copy(blob(etag), temporary);
        }
        Files.move(temporary, name, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
    }

    /** Notes the commit of a branch, once its snapshot is whole. */
    void setRef(String revision, String commit) throws IOException {
        if (revision.equals(commit)) {
            return;
        }
        Path ref = repo.resolve("refs").resolve(revision);
        Path parent = Objects.requireNonNull(ref.getParent());
        Files.createDirectories(parent);
        Path temporary = Files.writeString(parent.resolve("." + UUID.randomUUID()), commit);
        Files.move(temporary, ref, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
    }
}
