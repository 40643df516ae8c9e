package nibble.hub;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.LongConsumer;
import java.util.regex.Pattern;
import nibble.files.output.OutputException;
import nibble.hub.client.HubApi;
import nibble.hub.client.HubApi.RemoteFile;
import nibble.hub.client.HubException;
import nibble.hub.client.HubHttp;
import nibble.hub.client.HubSettings;
import nibble.hub.client.RepoName;
import nibble.hub.client.Retries;
import nibble.hub.client.TransferListener;
import nibble.hub.client.TransferSlots;

/**
 * Brings repositories into the cache that the hub's tools share. May be stopped at any time: bytes that have come are
 * kept, and no file has its name before its hash was checked.
 */
public final class Downloader {
    private static final int TRANSFERS = 4;
    private static final long MOST_INDEX_BYTES = 64L << 20;
    private static final Pattern BRANCH = Pattern.compile("[A-Za-z0-9](?:[A-Za-z0-9._/-]{0,198}[A-Za-z0-9_-])?");

    /** Hubs serve no more in one answer than 50 GB; larger files come in pieces. */
    private static final long RANGE_BYTES = 40_000_000_000L;

    private final HubSettings settings;
    private final Retries retries;
    private final long rangeBytes;

    /**
     * Says which files of a repository are meant.
     *
     * @param file path of the one asked for, or a part of its name, as {@code Q4_K_M}; empty unless the kind is FILE
     */
    public record Selection(Kind kind, String file) {
        /** One copy of the weights, and all that is no weights. */
        public static final Selection NEEDED = new Selection(Kind.NEEDED, "");

        public static final Selection ALL = new Selection(Kind.ALL, "");

        /** Lists the ways to choose files. */
        public enum Kind {
            NEEDED,
            ALL,
            FILE
        }

        /** Selects one model of several, by its file. */
        public static Selection file(String file) {
            return new Selection(Kind.FILE, file);
        }
    }

    /**
     * Describes what was brought.
     *
     * @param folder the snapshot: a folder like any checkpoint's
     * @param model the model in it: the folder, or a file where one was chosen
     * @param commit the commit it is of
     * @param files its files
     * @param bytes their sizes together
     * @param bytesReceived bytes that had to come over the network
     */
    public record Download(Path folder, Path model, String commit, int files, long bytes, long bytesReceived) {}

    public Downloader(HubSettings settings) {
        this(settings, Retries.STANDARD);
    }

    Downloader(HubSettings settings, Retries retries) {
        this(settings, retries, RANGE_BYTES);
    }

    Downloader(HubSettings settings, Retries retries, long rangeBytes) {
        this.settings = settings;
        this.retries = retries;
        this.rangeBytes = rangeBytes;
    }

    /**
     * Makes the cache hold a revision. Where the hub must not be asked or does not answer, what the cache holds will
     * do, if it is all that is needed.
     *
     * @param revision branch, tag or commit
     * @throws HubException if the network or the hub refuses, or what comes is not what the hub says it is
     * @throws OutputException if the disk refuses
     */
    public Download download(RepoName repo, String revision, Selection selection, TransferListener listener) {
        HubCache cache = new HubCache(settings, repo);
        checked(revision);
        CachedSnapshot cached = new CachedSnapshot(cache, repo, revision, selection);
        if (settings.offline()) {
            return cached.required(
                    settings.cache(), "HF_HUB_OFFLINE or TRANSFORMERS_OFFLINE is set; unset it to download", listener);
        }
        try (HubHttp http = new HubHttp(settings, retries, listener)) {
            HubApi api = new HubApi(http, repo);
            listener.stage("asking " + settings.endpoint() + " for " + repo);
            String commit;
            try {
                commit = api.head(revision)
                        .orElseThrow(() -> new HubException(repo + ": has no branch, tag or commit " + revision
                                + "; see "
                                + settings.endpoint() + "/" + repo));
            } catch (HubException e) {
                return cached.instead(e, listener).orElseThrow(() -> e);
            }
            return new Run(http, cache, repo, commit, listener).download(api.tree(commit), selection, revision);
        }
    }

    /** One download. */
    private final class Run {
        private final HubHttp http;
        private final HubCache cache;
        private final RepoName repo;
        private final String commit;
        private final TransferListener listener;
        private final AtomicLong received = new AtomicLong();

        Run(HubHttp http, HubCache cache, RepoName repo, String commit, TransferListener listener) {
            this.http = http;
            this.cache = cache;
            this.repo = repo;
            this.commit = commit;
            this.listener = listener;
        }

        Download download(List<RemoteFile> all, Selection selection, String revision) {
            all.forEach(file -> requireSafe(repo, file));
            ModelFiles chosen = ModelFiles.of(repo, all, selection, this::read);
            List<RemoteFile> files = chosen.files();
            long total = files.stream().mapToLong(RemoteFile::bytes).sum();
            requireSpace(files);
            listener.stage("receiving " + files.size() + " files");
            AtomicLong done = new AtomicLong();
            List<Callable<Boolean>> tasks = new ArrayList<>();
            for (RemoteFile file : files) {
                tasks.add(() -> {
                    fetch(file, bytes -> listener.bytes(done.addAndGet(bytes), total));
                    return true;
                });
            }
            new TransferSlots(TRANSFERS).run(tasks);
            // Last, so that a reference never names a snapshot with holes.
            cache.keepListing(commit, all, files.size() == all.size());
            cache.setRef(revision, commit);
            Path folder = cache.snapshotFolder(commit);
            Path model = chosen.model().map(file -> folder.resolve(file.path())).orElse(folder);
            return new Download(folder, model, commit, files.size(), total, received.get());
        }

        private void fetch(RemoteFile file, LongConsumer progress) {
            BlobDownload blob = new BlobDownload(http, retries, cache, repo, commit, file, rangeBytes);
            blob.fetch(progress);
            received.addAndGet(blob.received());
        }

        /** An index, before its shards are chosen. */
        private byte[] read(RemoteFile file) {
            if (file.bytes() > MOST_INDEX_BYTES) {
                throw new HubException(repo + ": " + file.path() + " has " + file.bytes() + " bytes, expected at most "
                        + MOST_INDEX_BYTES);
            }
            requireSpace(List.of(file));
            fetch(file, _ -> {});
            return CachedSnapshot.read(cache.snapshotFolder(commit).resolve(file.path()));
        }

        private void requireSpace(List<RemoteFile> files) {
            long needed = 0;
            for (RemoteFile file : files) {
                boolean there = cache.holds(commit, file) || Files.exists(cache.blob(file.etag()));
                needed += there
                        ? 0
                        : Math.max(
                                0,
                                file.bytes()
                                        - cache.incomplete(file.etag()).toFile().length());
            }
            if (needed > 0 && needed > cache.usableBytes()) {
                throw new OutputException(
                        cache.blob("").toAbsolutePath(),
                        "No space left: the download takes " + needed
                                + " bytes, "
                                + cache.usableBytes() + " are free; free some or set HF_HUB_CACHE to another disk");
            }
        }
    }

    private static String checked(String revision) {
        if (!BRANCH.matcher(revision).matches() || revision.contains("..") || revision.contains("//")) {
            throw new IllegalArgumentException("\"" + revision + "\" is not a branch, tag or commit");
        }
        return revision;
    }

    private static void requireSafe(RepoName repo, RemoteFile file) {
        if (!file.safe()) {
            throw new HubException(repo + ": the repository names a file \"" + file.path()
                    + "\", which would lie outside the cache; do not use it");
        }
        if (!file.known()) {
            throw new HubException(
                    repo + ": the hub gives no size or hash for " + file.path() + "; is " + "HF_ENDPOINT a model hub?");
        }
    }
}
