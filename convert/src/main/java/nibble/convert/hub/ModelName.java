package nibble.convert.hub;

import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.Optional;
import nibble.convert.hub.Downloader.Selection;

/**
 * What people write where a model is asked for: a folder, or a repository's name with or without a revision,
 * {@code org/name} or {@code org/name@awq-32g}. What exists as a file or folder is one.
 */
public record ModelName(String text) {

    /** The repository and revision, if this is not something that exists here. */
    public Optional<RepoName> repo() {
        return exists() || !RepoName.isName(withoutRevision()) ? Optional.empty() : Optional.of(RepoName.parse(withoutRevision()));
    }

    /** The revision after the {@code @}; {@code main} without one. */
    public String revision() {
        int at = text.indexOf('@');
        return at < 0 ? "main" : text.substring(at + 1);
    }

    private String withoutRevision() {
        int at = text.indexOf('@');
        return at < 0 ? text : text.substring(0, at);
    }

    private boolean exists() {
        try {
            return Files.exists(Path.of(text));
        } catch (InvalidPathException e) {
            return false;
        }
    }

    /**
     * The folder (or file) meant: as it is, or the repository's snapshot in the cache, brought there if the hub has a newer one
     * or the cache has none. Where the hub cannot be reached, or must not be, the cache's snapshot will do.
     *
     * @throws HubException if it is a repository that can be had neither from the cache nor from the hub
     */
    public Path resolve(HubSettings settings, TransferListener listener) {
        return resolve(new Downloader(settings), settings, listener);
    }

    Path resolve(Downloader downloader, HubSettings settings, TransferListener listener) {
        Optional<RepoName> repo = repo();
        if (repo.isEmpty()) {
            return Path.of(text);
        }
        Optional<Path> cached = downloader.cached(repo.get(), revision());
        if (settings.offline()) {
            return cached.orElseThrow(() -> new HubException(text + ": neither a folder nor in the cache at " + settings.cache()
                    + ", and HF_HUB_OFFLINE is set; unset it to download, or check the path"));
        }
        try {
            return downloader
                    .download(repo.get(), revision(), Selection.NEEDED, listener)
                    .folder();
        } catch (HubException e) {
            if (e.status() == HubException.NO_ANSWER && cached.isPresent()) {
                listener.stage("the hub does not answer, taking " + text + " from the cache");
                return cached.get();
            }
            if (e.status() == 404 || e.status() == 401) {
                throw new HubException(text + ": no such folder, and no such repository: " + e.getMessage(), e.status(), e.errorCode(), e);
            }
            throw e;
        }
    }
}
