package nibble.hub;

import java.io.IOException;
import java.nio.charset.MalformedInputException;
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
import nibble.checkpoint.source.BadCheckpointException;
import nibble.checkpoint.source.FileDigest;
import nibble.checkpoint.source.RepositoryFiles;
import nibble.files.Reasons;
import nibble.hub.PublishRequest.How;
import nibble.hub.PublishRequest.Visibility;
import nibble.hub.PublishResult.Need;
import nibble.hub.PublishResult.PublishedFile;
import nibble.hub.client.HubApi;
import nibble.hub.client.HubException;
import nibble.hub.client.HubHttp;
import nibble.hub.client.HubSettings;
import nibble.hub.client.LfsStore;
import nibble.hub.client.LocalFile;
import nibble.hub.client.Retries;
import nibble.hub.client.TransferListener;
import nibble.hub.client.TransferSlots;

/**
 * Makes a branch of a repository hold a folder: hash, ask which files are missing, send the large files, commit.
 *
 * <p>May be stopped at any time and run again: hashes are kept in a journal, content that the hub holds is not sent
 * again, and what the branch has already is not committed again.
 */
public final class Publisher {
    /** Over plain HTTP, which all downloads can fall back to, the hub serves no larger ones. */
    private static final long MAX_FILE_BYTES = 50_000_000_000L;

    /** The coarsest step of a file system's times, and more. */
    private static final long CLOCK_MILLIS = 5000;

    private static final String CARD = "README.md";

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
     * Finds out what would be refused, by reading alone, so that hours of verifying and hashing are not in vain.
     *
     * @throws HubException if the token is missing, not taken, or only for reading, or the repository is one that all
     *     see
     * @throws BadCheckpointException if a file is too large
     */
    public void check(PublishRequest request, TransferListener listener) {
        requireSizes(files(request));
        if (alone(request)) {
            return;
        }
        try (HubHttp http = new HubHttp(settings, retries, listener);
                UploadJournal _ = journal(request)) {
            HubApi api = new HubApi(http, request.repo());
            listener.stage("asking " + settings.endpoint() + " who you are");
            requireWriter(request, api.whoami());
            requireVisibility(request, api.info());
        }
    }

    /**
     * Takes over hashes of files that were read a moment ago, so that {@link #publish} does not read them again.
     *
     * @param readSince the clock's milliseconds when reading began; a file that may have changed since is hashed again
     */
    public void takeOver(PublishRequest request, List<FileDigest> hashed, long readSince) {
        SortedMap<String, Path> files = files(request);
        try (UploadJournal journal = journal(request)) {
            for (FileDigest digest : hashed) {
                Path file = files.get(digest.path());
                if (file == null) {
                    continue;
                }
                long modified = Files.getLastModifiedTime(file).toMillis();
                boolean same = Files.size(file) == digest.bytes() && modified < readSince - CLOCK_MILLIS;
                if (same
                        && journal.find(digest.path(), digest.bytes(), modified).isEmpty()) {
                    journal.put(new UploadJournal.Entry(
                            digest.path(), digest.bytes(), modified, digest.sha256(), "hashed"));
                }
            }
        } catch (IOException e) {
            throw new BadCheckpointException(request.folder(), "cannot be read: " + Reasons.of(e), e);
        }
    }

    /**
     * Publishes; returns when the branch holds every file.
     *
     * @throws HubException if the network or the hub refuses; the repository is then as before, or has more content
     *     stored that a next run need not send
     * @throws BadCheckpointException if a file cannot be read or changes meanwhile
     */
    public PublishResult publish(PublishRequest request, TransferListener listener) {
        SortedMap<String, Path> files = files(request);
        requireSizes(files);
        try (HubHttp http = new HubHttp(settings, retries, listener);
                UploadJournal journal = journal(request)) {
            Run run = new Run(request, http, journal, listener);
            return alone(request) ? run.plan(files) : run.publish(files);
        }
    }

    private UploadJournal journal(PublishRequest request) {
        return UploadJournal.open(
                settings.state(), request.folder(), settings.endpoint().toString(), request.repo());
    }

    /** Whether it is done without the hub: what would go can be listed by those who may not ask. */
    private boolean alone(PublishRequest request) {
        boolean dry = request.how() == How.DRY_RUN;
        if (settings.token().isEmpty() && !dry) {
            throw new HubException(
                    "publishing needs a token with write access; put it into HF_TOKEN or give --token-file");
        }
        return dry && (settings.offline() || settings.token().isEmpty());
    }

    private static SortedMap<String, Path> files(PublishRequest request) {
        SortedMap<String, Path> files = RepositoryFiles.list(request.folder());
        if (files.isEmpty()) {
            throw new BadCheckpointException(request.folder(), "holds no files to publish");
        }
        return files;
    }

    private static void requireWriter(PublishRequest request, HubApi.Account account) {
        if (account.readOnly() && request.how() != How.DRY_RUN) {
            throw new HubException("the token of " + account.name()
                    + " may only read; make one with write access and put it into HF_TOKEN");
        }
    }

    /** @param there what the hub says of the repository; one that is not there yet is made as it shall be */
    private void requireVisibility(PublishRequest request, Optional<HubApi.Info> there) {
        boolean mayBePublic = there.isPresent() && !there.get().isPrivate().orElse(false);
        if (request.visibility() == Visibility.PRIVATE && mayBePublic) {
            throw new HubException(request.repo() + ": exists and is public, but --private was given; nothing was"
                    + " sent. Make it private in the settings of " + settings.endpoint() + "/" + request.repo()
                    + ", or leave --private out to publish for all to see");
        }
    }

    private static void requireSizes(SortedMap<String, Path> files) {
        for (Path file : files.values()) {
            long bytes = file.toFile().length();
            if (bytes > MAX_FILE_BYTES) {
                boolean gguf = file.toString().endsWith(".gguf");
                throw new BadCheckpointException(
                        file,
                        bytes + " bytes, the hub takes files of at most "
                                + MAX_FILE_BYTES
                                + "; nothing was sent. "
                                + (gguf
                                        ? "Split it, as llama.cpp's llama-gguf-split does, into"
                                                + " MODEL-00001-of-0000N.gguf"
                                        : "Quantize again with a smaller --max-shard-size"));
            }
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
            // All that can be refused is refused before hours of hashing and sending.
            HubApi.Account account = api.whoami();
            boolean dry = request.how() == How.DRY_RUN;
            requireWriter(request, account);
            validateCard(files);
            boolean made = dry ? api.info().isEmpty() : make(account);
            requireVisibility(request, api.info());
            if (!dry) {
                requireBranch();
                api.preupload(request.branch(), unhashed(files), request.how() == How.PULL_REQUEST);
            }
            List<LocalFile> local = hash(files);
            listener.stage("asking " + settings.endpoint() + " which files are missing");
            boolean nothingThere = dry && (made || api.head(request.branch()).isEmpty());
            BranchState branch = nothingThere ? BranchState.unmade(local) : BranchState.of(api, request, local);
            if (dry) {
                return result(made, Optional.empty(), branch, 0);
            }
            long sent = store(branch);
            HubCommit commit = new HubCommit(api, request, local);
            HubApi.Committed done = commit.commit(branch);
            journal.delete();
            return result(made, Optional.of(done), branch, sent);
        }

        /** What would go, without the hub: as to a repository that is new. */
        PublishResult plan(SortedMap<String, Path> files) {
            BranchState branch = BranchState.unmade(hash(files));
            listener.note("the hub was not asked which files it holds and accepts, since "
                    + (settings.offline() ? "HF_HUB_OFFLINE or TRANSFORMERS_OFFLINE is set" : "there is no token"));
            return result(false, Optional.empty(), branch, 0);
        }

        private void validateCard(SortedMap<String, Path> files) {
            Path card = files.get(CARD);
            if (card == null) {
                return;
            }
            try {
                api.validateCard(Files.readString(card))
                        .forEach(warning -> listener.note(CARD + ": the hub says: " + warning));
            } catch (MalformedInputException e) {
                throw new BadCheckpointException(card, "is not UTF-8 text; write it again", e);
            } catch (IOException e) {
                throw new BadCheckpointException(card, "cannot be read: " + Reasons.of(e), e);
            }
        }

        /** Whether the repository had to be made; a pull request may be to one in which nothing may be made. */
        private boolean make(HubApi.Account account) {
            boolean there = request.how() == How.PULL_REQUEST && api.info().isPresent();
            return !there && api.create(account.name(), request.visibility() == Visibility.PRIVATE);
        }

        private void requireBranch() {
            if (api.head(request.branch()).isPresent()) {
                return;
            }
            if (request.branch().equals("main") || request.how() == How.PULL_REQUEST) {
                throw new HubException(
                        request.repo() + ": has no branch " + request.branch() + "; make one on its page");
            }
            api.createBranch(request.branch(), api.firstCommit());
        }

        /** What the hub needs to say how it takes a file, and whether it takes any. */
        private List<LocalFile> unhashed(SortedMap<String, Path> files) {
            List<LocalFile> local = new ArrayList<>();
            files.forEach((path, file) ->
                    local.add(new LocalFile(path, file, file.toFile().length(), 0, "")));
            return local;
        }

        private String pageUrl() {
            return settings.endpoint() + "/" + request.repo()
                    + (request.branch().equals("main") ? "" : "/tree/" + request.branch());
        }

        private List<LocalFile> hash(SortedMap<String, Path> files) {
            listener.stage("hashing " + files.size() + " files");
            AtomicLong done = new AtomicLong();
            long total = files.values().stream()
                    .mapToLong(file -> file.toFile().length())
                    .sum();
            LongConsumer progress = bytes -> listener.bytes(done.addAndGet(bytes), total);
            TransferSlots hashing =
                    new TransferSlots(Math.min(4, Runtime.getRuntime().availableProcessors()));
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
                    return new LocalFile(
                            path, file, bytes, modified, known.get().sha256());
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
            if (large.isEmpty()) {
                return 0;
            }
            AtomicLong done = new AtomicLong();
            AtomicLong sent = new AtomicLong();
            long total = large.stream().mapToLong(LocalFile::bytes).sum();
            listener.stage("sending " + large.size() + " large files");
            Optional<String> to = request.how() == How.PULL_REQUEST ? Optional.empty() : Optional.of(request.branch());
            LfsStore store = new LfsStore(http, request.repo(), to, new TransferSlots(request.transfers()));
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

        private PublishResult result(boolean made, Optional<HubApi.Committed> done, BranchState branch, long sent) {
            List<PublishedFile> files = new ArrayList<>();
            for (Map.Entry<LocalFile, Need> entry : branch.needs().entrySet()) {
                LocalFile file = entry.getKey();
                files.add(new PublishedFile(file.path(), file.bytes(), file.sha256(), entry.getValue()));
            }
            String url = done.map(d -> d.pullRequestUrl().isEmpty() ? d.url() : d.pullRequestUrl())
                    .filter(page -> !page.isEmpty())
                    .orElse(pageUrl());
            return new PublishResult(
                    request.repo().toString(),
                    request.branch(),
                    made,
                    done.map(HubApi.Committed::commit).orElse(""),
                    done.isPresent() && done.get().made(),
                    url,
                    files,
                    branch.leftovers(),
                    sent);
        }
    }
}
