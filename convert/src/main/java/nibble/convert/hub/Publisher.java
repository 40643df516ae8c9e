package nibble.convert.hub;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.SortedMap;
import java.util.concurrent.Callable;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.LongConsumer;
import nibble.convert.BadCheckpointException;
import nibble.convert.FileDigest;
import nibble.convert.RepositoryFiles;
import nibble.convert.hub.HubApi.Preupload;
import nibble.convert.hub.PublishRequest.How;
import nibble.convert.hub.PublishRequest.Leftovers;
import nibble.convert.hub.PublishRequest.Visibility;
import nibble.convert.hub.PublishResult.Need;
import nibble.convert.hub.PublishResult.PublishedFile;
import nibble.files.Reasons;

/**
 * Makes a branch of a repository hold a folder: hash, ask what is missing, send the large files, commit.
 *
 * <p>May be stopped at any time and run again: hashes are kept in a journal, content that the hub holds is not sent again, and
 * what the branch has already is not committed again.
 */
public final class Publisher {
    private final HubSettings settings;
    private final Retries retries;

    public Publisher(HubSettings settings) {
        this(settings, Retries.STANDARD);
    }

    Publisher(HubSettings settings, Retries retries) {
        this.settings = settings;
        this.retries = retries;
    }

    /**
     * Publishes; returns when the branch holds every file.
     *
     * @throws HubException if the network or the hub refuses; the repository is then as before, or has more content stored that
     *     a next run need not send
     * @throws BadCheckpointException if a file cannot be read or changes meanwhile
     */
    public PublishResult publish(PublishRequest request, TransferListener listener) {
        if (settings.token().isEmpty()) {
            throw new HubException("publishing needs a token with write access; put it into HF_TOKEN or give --token-file");
        }
        SortedMap<String, Path> files = RepositoryFiles.list(request.folder());
        if (files.isEmpty()) {
            throw new BadCheckpointException(request.folder(), "holds no files to publish");
        }
        try (HubHttp http = new HubHttp(settings, retries);
                UploadJournal journal = UploadJournal.open(
                        settings.state(), request.folder(), settings.endpoint().toString(), request.repo())) {
            return new Run(request, http, journal, listener).publish(files);
        }
    }

    /** One publication. */
    private final class Run {
        private final PublishRequest request;
        private final HubHttp http;
        private final HubApi api;
        private final UploadJournal journal;
        private final TransferListener listener;

        Run(PublishRequest request, HubHttp http, UploadJournal journal, TransferListener listener) {
            this.request = request;
            this.http = http;
            this.api = new HubApi(http, request.repo());
            this.journal = journal;
            this.listener = listener;
        }

        PublishResult publish(SortedMap<String, Path> files) {
            // Wrong tokens and names are found before hours of hashing.
            String user = api.whoami();
            boolean dry = request.how() == How.DRY_RUN;
            boolean made = dry ? !api.exists() : api.create(user, request.visibility() == Visibility.PRIVATE);
            if (!dry) {
                requireBranch();
            }
            List<LocalFile> local = hash(files);
            listener.stage("asking " + settings.endpoint() + " what is missing");
            boolean nothingThere = dry && (made || api.head(request.branch()).isEmpty());
            BranchState branch = nothingThere
                    ? BranchState.unmade(local)
                    : BranchState.of(api, request.branch(), local, request.leftovers() == Leftovers.DELETE);
            if (dry) {
                return result(made, "", pageUrl(), branch, 0);
            }
            long sent = store(branch);
            HubCommit commit = new HubCommit(api, request, local);
            HubApi.Committed done = commit.commit(branch);
            journal.delete();
            String url = done.pullRequestUrl().isEmpty() ? done.url() : done.pullRequestUrl();
            return result(made, done.commit(), url.isEmpty() ? pageUrl() : url, branch, sent);
        }

        private void requireBranch() {
            if (api.head(request.branch()).isPresent()) {
                return;
            }
            if (request.branch().equals("main")) {
                throw new HubException(request.repo() + ": has no branch main; make one on its page");
            }
            api.createBranch(request.branch(), api.firstCommit());
        }

        private String pageUrl() {
            return settings.endpoint() + "/" + request.repo()
                    + (request.branch().equals("main") ? "" : "/tree/" + request.branch());
        }

        private List<LocalFile> hash(SortedMap<String, Path> files) {
            listener.stage("hashing " + files.size() + " files");
            AtomicLong done = new AtomicLong();
            long total = files.values().stream().mapToLong(file -> file.toFile().length()).sum();
            LongConsumer progress = bytes -> listener.bytes(done.addAndGet(bytes), total);
            TransferSlots hashing = new TransferSlots(Math.min(4, Runtime.getRuntime().availableProcessors()));
            List<Callable<LocalFile>> tasks = new ArrayList<>();
            files.forEach((path, file) -> tasks.add(() -> hash(path, file, progress)));
            return hashing.run(tasks);
        }

        private LocalFile hash(String path, Path file, LongConsumer progress) {
            try {
                long bytes = Files.size(file);
                long modified = Files.getLastModifiedTime(file).toMillis();
                Optional<UploadJournal.Entry> known = journal.find(path, bytes, modified);
                if (known.isPresent()) {
                    progress.accept(bytes);
                    return new LocalFile(path, file, bytes, modified, known.get().sha256());
                }
                FileDigest digest = FileDigest.of(path, file, progress);
                LocalFile hashed = new LocalFile(path, file, bytes, modified, digest.sha256());
                hashed.requireUnchanged();
                journal.put(new UploadJournal.Entry(path, bytes, modified, digest.sha256(), "hashed"));
                return hashed;
            } catch (IOException e) {
                throw new BadCheckpointException(file, "cannot be read: " + Reasons.of(e), e);
            }
        }

        private long store(BranchState branch) {
            List<LocalFile> large = branch.files(Need.STORED);
            AtomicLong done = new AtomicLong();
            AtomicLong sent = new AtomicLong();
            long total = large.stream().mapToLong(LocalFile::bytes).sum();
            listener.stage("sending " + large.size() + " large files");
            LfsStore store = new LfsStore(http, request.repo(), request.branch(), new TransferSlots(request.transfers()));
            List<Callable<Boolean>> tasks = new ArrayList<>();
            for (LocalFile file : large) {
                tasks.add(() -> {
                    boolean needed = store.store(file, bytes -> listener.bytes(done.addAndGet(bytes), total));
                    if (needed) {
                        sent.addAndGet(file.bytes());
                    } else {
                        listener.bytes(done.addAndGet(file.bytes()), total);
                    }
                    journal.put(new UploadJournal.Entry(
                            file.path(), file.bytes(), file.modifiedMillis(), file.sha256(), "stored"));
                    return needed;
                });
            }
            TransferSlots.all(tasks);
            return sent.get();
        }

        private PublishResult result(boolean made, String commit, String url, BranchState branch, long sent) {
            List<PublishedFile> files = new ArrayList<>();
            for (Map.Entry<LocalFile, Need> entry : branch.needs().entrySet()) {
                LocalFile file = entry.getKey();
                files.add(new PublishedFile(file.path(), file.bytes(), file.sha256(), entry.getValue()));
            }
            return new PublishResult(
                    request.repo().toString(), request.branch(), made, commit, url, files, branch.leftovers(), sent);
        }
    }
}
