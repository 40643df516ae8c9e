package nibble.hub;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.stream.Stream;
import nibble.hub.Downloader.Selection;
import nibble.hub.client.HubException;
import nibble.hub.client.HubSettings;
import nibble.hub.client.RepoName;
import nibble.hub.client.TransferListener;

/**
 * Parses what people write where a model is asked for: a folder, or a repository's name with or without a revision and
 * a file, {@code org/name}, {@code org/name@awq-32g}, {@code org/name@main:model-Q4_K_M.gguf}. What exists as a file or
 * folder is one.
 */
public record ModelName(String text) {
    private static final String DEFAULT_REVISION = "main";

    /** Returns the repository, if this is not something that exists here. */
    public Optional<RepoName> repo() {
        return exists() ? Optional.empty() : named();
    }

    /** Returns the repository, whatever exists here. */
    public Optional<RepoName> named() {
        return RepoName.isName(bare()) ? Optional.of(RepoName.parse(bare())) : Optional.empty();
    }

    /** Returns the revision after the {@code @}; {@code main} without one. */
    public String revision() {
        String text = withoutFile();
        int at = text.indexOf('@');
        return at < 0 ? DEFAULT_REVISION : text.substring(at + 1);
    }

    /** Returns whether a revision was written. */
    public boolean hasRevision() {
        return withoutFile().indexOf('@') >= 0;
    }

    /** Returns the file after the colon, or the files that a model needs. */
    public Selection selection() {
        String file = text.substring(Math.min(text.length(), withoutFile().length() + 1));
        return file.isEmpty() ? Selection.NEEDED : Selection.file(file);
    }

    private String bare() {
        String text = withoutFile();
        int at = text.indexOf('@');
        return at < 0 ? text : text.substring(0, at);
    }

    private String withoutFile() {
        int colon = text.indexOf(':');
        return colon < 0 ? text : text.substring(0, colon);
    }

    private boolean exists() {
        try {
            return Files.exists(Path.of(text));
        } catch (InvalidPathException e) {
            return false;
        }
    }

    /**
     * Returns the folder (or file) meant: as it is, or the repository's snapshot in the cache, brought there if the
     * hub has a
     * newer one or the cache has none. Where the hub cannot be reached, or must not be, the cache's snapshot will do if
     * it is complete.
     *
     * @throws HubException if it is a repository that can be had neither from the cache nor from the hub
     */
    public Path resolve(HubSettings settings, TransferListener listener) {
        return resolve(new Downloader(settings), listener);
    }

    Path resolve(Downloader downloader, TransferListener listener) {
        Optional<RepoName> repo = repo();
        if (repo.isEmpty()) {
            return Path.of(text);
        }
        try {
            return downloader
                    .download(repo.get(), revision(), selection(), listener)
                    .model();
        } catch (HubException e) {
            boolean written = text.indexOf('@') >= 0 || text.indexOf(':') >= 0;
            boolean none =
                    (e.status() == 401 || e.status() == 404) && !e.errorCode().equals("GatedRepo");
            if (written || !none && e.status() != HubException.NO_ANSWER) {
                throw e;
            }
            String instead = none ? ", and no such repository: " : ", and no repository of that name can be had: ";
            throw e.told(text + ": no such folder" + similar() + instead + e.getMessage());
        }
    }

    /** A folder beside the one that is not there, with a name like it: a slip of the finger. */
    private String similar() {
        Path path = Path.of(text);
        Path parent = path.getParent();
        if (parent == null || !Files.isDirectory(parent)) {
            return "";
        }
        String wanted = String.valueOf(path.getFileName()).toLowerCase(Locale.ROOT);
        try (Stream<Path> there = Files.list(parent)) {
            List<String> like = there.filter(other ->
                            slips(wanted, String.valueOf(other.getFileName()).toLowerCase(Locale.ROOT)) <= 2)
                    .map(Path::toString)
                    .sorted()
                    .limit(3)
                    .toList();
            return like.isEmpty() ? "" : " (did you mean " + String.join(" or ", like) + "?)";
        } catch (IOException e) {
            return "";
        }
    }

    /** Letters to change, add or leave out to get from one word to another. */
    private static int slips(String a, String b) {
        int[] last = new int[b.length() + 1];
        for (int j = 0; j <= b.length(); j++) {
            last[j] = j;
        }
        for (int i = 1; i <= a.length(); i++) {
            int diagonal = last[0];
            last[0] = i;
            for (int j = 1; j <= b.length(); j++) {
                int changed = diagonal + (a.charAt(i - 1) == b.charAt(j - 1) ? 0 : 1);
                diagonal = last[j];
                last[j] = Math.min(changed, Math.min(last[j], last[j - 1]) + 1);
            }
        }
        return last[b.length()];
    }
}
