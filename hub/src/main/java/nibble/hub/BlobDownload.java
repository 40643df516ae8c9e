package nibble.hub;

import java.io.IOException;
import java.io.InputStream;
import java.net.URI;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.time.Duration;
import java.util.Arrays;
import java.util.Objects;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.LongConsumer;
import java.util.stream.Collectors;
import nibble.files.digest.Sha256;
import nibble.files.output.OutputException;
import nibble.hub.client.GitBlobId;
import nibble.hub.client.HubApi;
import nibble.hub.client.HubApi.RemoteFile;
import nibble.hub.client.HubCall;
import nibble.hub.client.HubException;
import nibble.hub.client.HubHttp;
import nibble.hub.client.HubMessages;
import nibble.hub.client.RepoName;
import nibble.hub.client.Retries;

/**
 * One file into the cache: goes on where it stopped, and has its name only once its hash is the one that the hub
 * states.
 */
final class BlobDownload {
    private static final int BUFFER_BYTES = 1 << 18;

    /** A connection that brings nothing for so long is given up and made anew. */
    private static final Duration STALL = Duration.ofSeconds(60);

    /** New addresses for one that has expired, before it is a failure. */
    private static final int ADDRESS_TRIES = 3;

    private final HubHttp http;
    private final Retries retries;
    private final HubCache cache;
    private final RemoteFile file;
    private final String commit;
    private final URI uri;
    private final long rangeBytes;
    private long received;

    /** @param rangeBytes most bytes of one answer */
    BlobDownload(
            HubHttp http,
            Retries retries,
            HubCache cache,
            RepoName repo,
            String commit,
            RemoteFile file,
            long rangeBytes) {
        this.rangeBytes = rangeBytes;
        this.http = http;
        this.retries = retries;
        this.cache = cache;
        this.file = file;
        this.commit = commit;
        String path = Arrays.stream(file.path().split("/")).map(HubApi::quoted).collect(Collectors.joining("/"));
        this.uri = http.uri("/" + repo + "/resolve/" + commit + "/" + path);
    }

    /** Bytes that came over the network. */
    long received() {
        return received;
    }

    /**
     * Brings the file unless the cache has it.
     *
     * @param progress told the bytes that are there now and were not when it was last called; may be negative
     */
    void fetch(LongConsumer progress) {
        if (cache.holds(commit, file)) {
            // Without a lock: the cache may be one that is only to be read.
            progress.accept(file.bytes());
            return;
        }
        Path blob = cache.blob(file.etag());
        try {
            cache.locked(file.etag(), () -> {
                boolean there = Files.exists(blob) && Files.size(blob) == file.bytes();
                if (there) {
                    progress.accept(file.bytes());
                } else {
                    Path part = cache.incomplete(file.etag());
                    Files.createDirectories(Objects.requireNonNull(part.getParent()));
                    receive(part, progress);
                    check(part, progress);
                    Files.move(part, blob, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
                }
                cache.link(commit, file, !there);
            });
        } catch (IOException e) {
            throw OutputException.of(blob, "writing the cache", e);
        }
    }

    private void receive(Path part, LongConsumer progress) throws IOException {
        try (FileChannel out = FileChannel.open(part, StandardOpenOption.CREATE, StandardOpenOption.WRITE)) {
            if (out.size() > file.bytes()) {
                out.truncate(0);
            }
            progress.accept(out.size());
            int failures = 0;
            int expired = 0;
            while (out.size() < file.bytes()) {
                long before = out.size();
                try {
                    receiveOnce(out, progress);
                } catch (HubException e) {
                    // The store's signed address ran out between the hub's answer and its use: the hub gives a new one.
                    expired = out.size() > before ? 1 : expired + 1;
                    if (!e.addressExpired() || expired >= ADDRESS_TRIES) {
                        throw e;
                    }
                } catch (Broken e) {
                    // Tries without a byte count; a connection that brings some may break as often as it likes.
                    failures = out.size() > before ? 1 : failures + 1;
                    String stopped = file.path() + ": stopped at byte " + out.size() + " of " + file.bytes() + " ("
                            + e.getMessage() + ")";
                    if (failures >= retries.attempts()) {
                        throw new HubException(
                                stopped + "; run again to resume from there", HubException.NO_ANSWER, "", e);
                    }
                    http.pause(failures, stopped);
                }
            }
            out.force(true);
        }
    }

    /** A connection that ended before the file did; what the disk refuses is no such thing. */
    private static final class Broken extends IOException {
        private static final long serialVersionUID = 1L;

        Broken(String reason) {
            super(reason);
        }
    }

    private void receiveOnce(FileChannel out, LongConsumer progress) throws IOException {
        HubCall call = HubCall.get(uri).with("Accept-Encoding", "identity");
        long have = out.size();
        boolean pieces = file.bytes() > rangeBytes;
        long end = pieces ? Math.min(file.bytes(), have + rangeBytes) : file.bytes();
        if (have > 0 || pieces) {
            call = call.with("Range", "bytes=" + have + "-" + (pieces ? end - 1 : ""));
        }
        HttpResponse<InputStream> response = http.send(call, BodyHandlers.ofInputStream(), true);
        boolean goesOn = response.statusCode() == 206
                && response.headers().firstValue("content-range").orElse("").startsWith("bytes " + have + "-");
        if (have > 0 && !goesOn) {
            // The whole comes instead of the rest.
            progress.accept(-have);
            out.truncate(0);
        }
        out.position(out.size());
        InputStream in = response.body();
        try {
            AtomicLong lastByte = new AtomicLong(System.nanoTime());
            AtomicBoolean finished = new AtomicBoolean();
            Thread watch = Thread.ofVirtual().start(() -> closeWhenStalled(in, lastByte, finished));
            try {
                copy(in, out, lastByte, progress);
            } finally {
                finished.set(true);
                watch.interrupt();
            }
        } finally {
            close(in);
        }
        if (out.size() < end) {
            throw new Broken("the connection ended early");
        }
    }

    private void copy(InputStream in, FileChannel out, AtomicLong lastByte, LongConsumer progress) throws IOException {
        byte[] buffer = new byte[BUFFER_BYTES];
        for (int read = read(in, buffer); read >= 0; read = read(in, buffer)) {
            lastByte.set(System.nanoTime());
            if (out.position() + read > file.bytes()) {
                progress.accept(-out.size());
                out.truncate(0);
                throw new HubException(file.path() + ": more than the " + file.bytes()
                        + " bytes that the hub states; run again later");
            }
            ByteBuffer bytes = ByteBuffer.wrap(buffer, 0, read);
            while (bytes.hasRemaining()) {
                out.write(bytes);
            }
            received += read;
            progress.accept(read);
        }
    }

    private static int read(InputStream in, byte[] buffer) throws Broken {
        try {
            return in.read(buffer);
        } catch (IOException e) {
            throw new Broken(HubMessages.reason(e));
        }
    }

    private static void close(InputStream in) {
        try {
            in.close();
        } catch (IOException e) {
            // What has come was read.
        }
    }

    private static void closeWhenStalled(InputStream in, AtomicLong lastByte, AtomicBoolean finished) {
        try {
            while (!finished.get()) {
                Thread.sleep(Duration.ofSeconds(1));
                if (System.nanoTime() - lastByte.get() > STALL.toNanos()) {
                    in.close();
                    return;
                }
            }
        } catch (InterruptedException | IOException e) {
            // Finished, or closed already.
        }
    }

    /**
     * Compares with the hash by which the hub knows the file; what is wrong is deleted, since it cannot be gone on
     * with.
     */
    private void check(Path part, LongConsumer progress) throws IOException {
        boolean large = file.large();
        String found = large ? Sha256.of(part) : GitBlobId.of(part, file.bytes());
        if (!found.equals(file.etag())) {
            Files.delete(part);
            progress.accept(-file.bytes());
            throw new HubException(file.path() + ": the received file has " + (large ? "SHA-256 " : "git hash ") + found
                    + ", the hub states " + file.etag() + "; it was damaged on the way or at the store, run again");
        }
    }
}
