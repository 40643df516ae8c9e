package nibble.convert.hub;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.Callable;
import java.util.concurrent.atomic.AtomicLong;
import java.util.regex.Pattern;
import nibble.convert.OutputException;
import nibble.convert.hub.HubApi.RemoteFile;

/**
 * Brings repositories into the cache that the hub's tools share. May be stopped at any time: bytes that have come are kept, and
 * no file has its name before its hash was checked.
 */
public final class Downloader {
    private static final int TRANSFERS = 4;
    private static final Pattern BRANCH = Pattern.compile("[A-Za-z0-9](?:[A-Za-z0-9._/-]{0,198}[A-Za-z0-9_-])?");

    private final HubSettings settings;
    private final Retries retries;

    /** Which files of a repository. */
    public enum Selection {
        /** All but copies of the weights in formats that are not read here, where there are safetensors. */
        NEEDED,
        ALL
    }

    /**
     * What was brought.
     *
     * @param folder the snapshot: a folder like any checkpoint's
     * @param commit the commit it is of
     * @param files its files
     * @param bytes their sizes together
     * @param bytesReceived bytes that had to come over the network
     */
    public record Download(Path folder, String commit, int files, long bytes, long bytesReceived) {}

    public Downloader(HubSettings settings) {
        this(settings, Retries.STANDARD);
    }

    Downloader(HubSettings settings, Retries retries) {
        this.settings = settings;
        this.retries = retries;
    }

    /** The snapshot of a revision that the cache holds, without a look at the network. */
    public Optional<Path> cached(RepoName repo, String revision) {
        return new HubCache(settings.cache(), repo).snapshot(checked(revision));
    }

    /**
     * Makes the cache hold a revision.
     *
     * @param revision branch, tag or commit
     * @throws HubException if the network or the hub refuses, or what comes is not what the hub says it is
     * @throws OutputException if the disk refuses
     */
    public Download download(RepoName repo, String revision, Selection selection, TransferListener listener) {
        HubCache cache = new HubCache(settings.cache(), repo);
        checked(revision);
        try (HubHttp http = new HubHttp(settings, retries)) {
            HubApi api = new HubApi(http, repo);
            listener.stage("asking " + settings.endpoint() + " for " + repo);
            String commit = api.head(revision)
                    .orElseThrow(() -> new HubException(repo + ": has no branch, tag or commit " + revision + "; see "
                            + settings.endpoint() + "/" + repo));
            List<RemoteFile> files = selected(api.tree(commit), selection);
            files.forEach(file -> requireSafe(repo, file));
            long total = files.stream().mapToLong(RemoteFile::bytes).sum();
            requireSpace(cache, files);
            listener.stage("receiving " + files.size() + " files");
            AtomicLong done = new AtomicLong();
            AtomicLong received = new AtomicLong();
            List<Callable<Boolean>> tasks = new ArrayList<>();
            for (RemoteFile file : files) {
                BlobDownload blob = new BlobDownload(http, retries, cache, repo, commit, file);
                tasks.add(() -> {
                    blob.fetch(bytes -> listener.bytes(done.addAndGet(bytes), total));
                    received.addAndGet(blob.received());
                    return true;
                });
            }
            new TransferSlots(TRANSFERS).run(tasks);
            // Last, so that a reference never names a snapshot with holes.
            cache.setRef(revision, commit);
            return new Download(cache.snapshotFolder(commit), commit, files.size(), total, received.get());
        } catch (IOException e) {
            throw OutputException.of(settings.cache(), "writing the cache", e);
        }
    }

    private static String checked(String revision) {
        if (!BRANCH.matcher(revision).matches() || revision.contains("..") || revision.contains("//")) {
            throw new IllegalArgumentException("\"" + revision + "\" is not a branch, tag or commit");
        }
        return revision;
    }

    private static List<RemoteFile> selected(List<RemoteFile> all, Selection selection) {
        boolean safetensors = all.stream().anyMatch(file -> file.path().endsWith(".safetensors"));
        return switch (selection) {
            case ALL -> all;
            case NEEDED -> all.stream().filter(file -> !safetensors || !isOtherCopy(file.path())).toList();
        };
    }

    private static boolean isOtherCopy(String path) {
        return path.startsWith("original/")
                || path.matches(".*\\.(bin|pth|pt|h5|msgpack|onnx|ot|gguf)")
                || path.endsWith(".bin.index.json");
    }

    /** A hub's path becomes a file's name here: nothing of it may lead elsewhere. */
    private static void requireSafe(RepoName repo, RemoteFile file) {
        boolean safe = !file.path().isEmpty()
                && file.path().length() < 1024
                && file.path().chars().noneMatch(c -> c < ' ' || c == '\\' || c == ':');
        for (String part : file.path().split("/", -1)) {
            safe &= !part.isEmpty() && !part.equals(".") && !part.equals("..");
        }
        if (!safe) {
            throw new HubException(repo + ": the repository names a file \"" + file.path()
                    + "\", which would lie outside the cache; do not use it");
        }
        if (file.bytes() < 0 || !file.etag().matches("[0-9a-f]{40}|[0-9a-f]{64}")) {
            throw new HubException(repo + ": the hub gives no size or hash for " + file.path() + "; is "
                    + "HF_ENDPOINT a model hub?");
        }
    }

    private static void requireSpace(HubCache cache, List<RemoteFile> files) throws IOException {
        long needed = 0;
        for (RemoteFile file : files) {
            Path part = cache.incomplete(file.etag());
            boolean there = Files.exists(cache.blob(file.etag()));
            needed += there ? 0 : file.bytes() - (Files.exists(part) ? Files.size(part) : 0);
        }
        long free = cache.usableBytes();
        if (needed > free) {
            throw new OutputException(cache.blob("").toAbsolutePath(), "No space left: the download takes " + needed + " bytes, "
                    + free + " are free; free some or set HF_HUB_CACHE to another disk");
        }
    }
}
