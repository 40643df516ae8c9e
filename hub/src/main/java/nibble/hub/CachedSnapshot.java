package nibble.hub;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import nibble.checkpoint.source.RepositoryFiles;
import nibble.files.output.OutputException;
import nibble.hub.Downloader.Download;
import nibble.hub.Downloader.Selection;
import nibble.hub.client.HubApi.RemoteFile;
import nibble.hub.client.HubException;
import nibble.hub.client.RepoName;
import nibble.hub.client.TransferListener;

/** What the cache has of a revision, for when the hub is not asked: all that is needed, or it will not do. */
final class CachedSnapshot {
    private final HubCache cache;
    private final RepoName repo;
    private final String revision;
    private final Selection selection;

    CachedSnapshot(HubCache cache, RepoName repo, String revision, Selection selection) {
        this.cache = cache;
        this.repo = repo;
        this.revision = revision;
        this.selection = selection;
    }

    /**
     * The snapshot.
     *
     * @throws HubException if there is none or it lacks files, which are named
     */
    Download required(Path folder, String why, TransferListener listener) {
        String commit = cache.commit(revision)
                .orElseThrow(() -> new HubException(
                        repo + (revision.equals("main") ? "" : "@" + revision) + ": not in the cache at " + folder
                                + ", and " + why,
                        HubException.NO_ANSWER,
                        "",
                        null));
        return checked(commit, why, listener);
    }

    /**
     * The snapshot in place of a hub that failed, as the hub's own tools do it; not for a revision that the hub says
     * does not exist.
     *
     * @throws HubException if there is a snapshot that lacks files
     */
    Optional<Download> instead(HubException failure, TransferListener listener) {
        Optional<String> commit = failure.status() < 0 ? Optional.empty() : cache.commit(revision);
        if (commit.isEmpty()) {
            return Optional.empty();
        }
        try {
            Download found = checked(commit.get(), "the hub cannot be asked for the rest", listener);
            listener.note("taking " + repo + " from the cache, commit " + commit.get()
                    + ", since the hub cannot be asked: " + failure.getMessage());
            return Optional.of(found);
        } catch (HubException e) {
            throw failure.told(e.getMessage() + ": " + failure.getMessage());
        }
    }

    private Download checked(String commit, String why, TransferListener listener) {
        Path folder = cache.snapshotFolder(commit);
        Optional<List<RemoteFile>> known = cache.listing(commit);
        List<RemoteFile> all = known.orElseGet(() -> found(folder));
        if (known.isEmpty()) {
            listener.note(
                    repo + ": the cache may lack files of commit " + commit + ", because no tool has noted its list");
        }
        ModelFiles chosen = ModelFiles.of(repo, all, selection, new Reading(folder, why));
        List<RemoteFile> missing = chosen.files().stream()
                .filter(file -> !cache.holds(commit, file))
                .toList();
        if (!missing.isEmpty()) {
            throw incomplete(folder, missing.stream().map(RemoteFile::path).toList(), why);
        }
        long bytes = chosen.files().stream().mapToLong(RemoteFile::bytes).sum();
        Path model = chosen.model().map(file -> folder.resolve(file.path())).orElse(folder);
        return new Download(folder, model, commit, chosen.files().size(), bytes, 0);
    }

    private HubException incomplete(Path folder, List<String> missing, String why) {
        return new HubException(repo + ": the cache holds a part of it: " + folder + " lacks " + missing.size()
                + " of the files needed ("
                + String.join(", ", missing.subList(0, Math.min(3, missing.size()))) + (missing.size() > 3 ? ", …" : "")
                + "), and " + why);
    }

    /** Reads from the snapshot. */
    private final class Reading implements ModelFiles.Reader {
        private final Path folder;
        private final String why;

        Reading(Path folder, String why) {
            this.folder = folder;
            this.why = why;
        }

        @Override
        public byte[] read(RemoteFile file) {
            Path path = folder.resolve(file.path());
            if (!Files.isRegularFile(path)) {
                throw incomplete(folder, List.of(file.path()), why);
            }
            return CachedSnapshot.read(path);
        }

        @Override
        public HubException absent(RepoName name, String path) {
            return incomplete(folder, List.of(path), why);
        }
    }

    static byte[] read(Path path) {
        try {
            return Files.readAllBytes(path);
        } catch (IOException e) {
            throw OutputException.of(path, "reading the cache", e);
        }
    }

    /** Without a list: the files that are there. */
    private static List<RemoteFile> found(Path folder) {
        List<RemoteFile> files = new ArrayList<>();
        String unknown = "0".repeat(40);
        for (Map.Entry<String, Path> file : RepositoryFiles.list(folder).entrySet()) {
            files.add(new RemoteFile(file.getKey(), file.getValue().toFile().length(), unknown, unknown));
        }
        return files;
    }
}
