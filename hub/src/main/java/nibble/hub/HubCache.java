package nibble.hub;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.List;
import java.util.Objects;
import java.util.Optional;
import java.util.UUID;
import nibble.files.output.OutputException;
import nibble.hub.client.FileLocks;
import nibble.hub.client.HubApi.RemoteFile;
import nibble.hub.client.HubSettings;
import nibble.hub.client.RepoName;
import nibble.hub.client.TreeListing;

/**
 * The folder that the hub's tools share, for one repository.
 *
 * <pre>
 * models--org--name/
 *   blobs/ETAG                       content, once; ETAG is the SHA-256 of large files, git's SHA-1 of small ones
 *   blobs/ETAG.nibble.incomplete     content that is coming; other tools have names of their own
 *   refs/REVISION                    the commit that a branch was at
 *   snapshots/COMMIT/PATH            a link to ../../blobs/ETAG; without links the content itself, and then no blob
 *   trees/COMMIT.json                which files the commit has, where a tool has brought all of them
 *   trees/COMMIT.nibble.json         the same, where only those were brought that a model needs
 * .locks/models--org--name/ETAG.lock held while a blob is written
 * </pre>
 *
 * The hub's own tools lock the same files in another way (flock), which Java has not: against them, content is safe
 * because
 * everybody writes under names of their own and renames.
 */
final class HubCache {
    private final Path repo;
    private final Path locks;
    private final boolean links;

    HubCache(HubSettings settings, RepoName name) {
        String folder = "models--" + name.owner() + "--" + name.name();
        this.repo = settings.cache().resolve(folder);
        this.locks = settings.cache().resolve(".locks").resolve(folder);
        this.links = settings.surroundings().links();
    }

    /** The commit that a branch or a commit names here, if it has a snapshot. */
    Optional<String> commit(String revision) {
        Path ref = repo.resolve("refs").resolve(revision);
        try {
            String commit = Files.isRegularFile(ref) ? Files.readString(ref).strip() : revision;
            return commit.matches("[0-9a-f]{40}") && Files.isDirectory(snapshotFolder(commit))
                    ? Optional.of(commit)
                    : Optional.empty();
        } catch (IOException e) {
            throw OutputException.of(ref, "reading the cache", e);
        }
    }

    Path snapshotFolder(String commit) {
        return repo.resolve("snapshots").resolve(commit);
    }

    /** Whether a snapshot has a file, whole: by a link or as content. */
    boolean holds(String commit, RemoteFile file) {
        Path path = snapshotFolder(commit).resolve(file.path());
        try {
            return Files.isRegularFile(path) && Files.size(path) == file.bytes();
        } catch (IOException e) {
            return false;
        }
    }

    Path blob(String etag) {
        return repo.resolve("blobs").resolve(etag);
    }

    /** Where a blob grows until it is whole; of this program's runs, one at a time writes it. */
    Path incomplete(String etag) {
        return repo.resolve("blobs").resolve(etag + ".nibble.incomplete");
    }

    /** Bytes free where the cache lies. */
    long usableBytes() {
        try {
            Files.createDirectories(repo.resolve("blobs"));
            return Files.getFileStore(repo).getUsableSpace();
        } catch (IOException e) {
            throw new OutputException(
                    OutputException.of(repo, "making the cache's folder", e), "HF_HUB_CACHE names another");
        }
    }

    /** Runs a step while no other thread or process of this program writes the same blob. */
    void locked(String etag, FileLocks.Step step) throws IOException {
        FileLocks.locked(locks.resolve(etag + ".lock"), step);
    }

    /**
     * Gives a whole blob its name in a snapshot: by a link, or itself where links are not possible.
     *
     * @param fresh whether no other snapshot can be going by this blob yet
     */
    void link(String commit, RemoteFile file, boolean fresh) throws IOException {
        Path name = snapshotFolder(commit).resolve(file.path());
        Path parent = Objects.requireNonNull(name.getParent());
        Path blob = blob(file.etag());
        Files.createDirectories(parent);
        Path temporary = parent.resolve("." + UUID.randomUUID() + ".link");
        try {
            if (!linked(temporary, parent.relativize(blob))) {
                withoutLink(blob, temporary, fresh);
            }
            Files.move(temporary, name, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
        } finally {
            Files.deleteIfExists(temporary);
        }
    }

    /**
     * One content under two names if the file system can; else the blob itself, or a copy where others may be going by
     * it.
     */
    private static void withoutLink(Path blob, Path name, boolean fresh) throws IOException {
        try {
            Files.createLink(name, blob);
        } catch (UnsupportedOperationException | IOException e) {
            if (fresh) {
                Files.move(blob, name);
            } else {
                Files.copy(blob, name);
            }
        }
    }

    private boolean linked(Path link, Path target) {
        if (!links) {
            return false;
        }
        try {
            Files.createSymbolicLink(link, target);
            return true;
        } catch (UnsupportedOperationException | IOException e) {
            // A file system without links, or Windows without the right to make them.
            return false;
        }
    }

    /**
     * Notes the commit of a branch, once what was asked for of its snapshot is there; a cache that is only to be read
     * stays.
     */
    void setRef(String revision, String commit) {
        Path ref = repo.resolve("refs").resolve(revision);
        try {
            if (revision.equals(commit)
                    || Files.isRegularFile(ref) && Files.readString(ref).strip().equals(commit)) {
                return;
            }
            replace(ref, commit);
        } catch (IOException e) {
            if (Files.isWritable(repo)) {
                throw OutputException.of(ref, "writing the cache", e);
            }
        }
    }

    /** The files of a commit, if any tool has noted them. */
    Optional<List<RemoteFile>> listing(String commit) {
        return TreeListing.read(repo.resolve("trees").resolve(commit + ".json"))
                .or(() -> TreeListing.read(repo.resolve("trees").resolve(commit + ".nibble.json")));
    }

    /**
     * Notes the files of a commit.
     *
     * @param whole whether the snapshot has all of them: the hub's own tools take it for damaged otherwise
     */
    void keepListing(String commit, List<RemoteFile> files, boolean whole) {
        Path file = repo.resolve("trees").resolve(commit + (whole ? ".json" : ".nibble.json"));
        try {
            if (!Files.exists(file)) {
                replace(file, TreeListing.json(files));
            }
        } catch (IOException e) {
            // It saves questions later; nothing goes wrong without it.
        }
    }

    private static void replace(Path file, String text) throws IOException {
        Path parent = Objects.requireNonNull(file.getParent());
        Files.createDirectories(parent);
        Path temporary = parent.resolve("." + UUID.randomUUID());
        try {
            Files.writeString(temporary, text);
            Files.move(temporary, file, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
        } finally {
            Files.deleteIfExists(temporary);
        }
    }
}
