package nibble.hub;

import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;
import java.util.Random;
import nibble.hub.client.HubSettings;
import nibble.hub.client.HubToken;
import nibble.hub.client.RepoName;
import nibble.hub.client.TransferListener;

/**
 * Bytes a second of an upload to the fake hub on loopback, against a plain copy of the same file over a socket. Not a
 * test: run with a small heap, {@code java -Xmx64m -cp … nibble.hub.UploadThroughput [bytes] [part bytes] [transfers]}.
 */
final class UploadThroughput {
    private static final int BUFFER_BYTES = 256 << 10;

    private static double hashingCpu;

    private UploadThroughput() {}

    public static void main(String[] arguments) throws Exception {
        long bytes = arguments.length > 0 ? Long.parseLong(arguments[0]) : 2_000_000_000L;
        long partBytes = arguments.length > 1 ? Long.parseLong(arguments[1]) : Long.MAX_VALUE;
        int transfers = arguments.length > 2 ? Integer.parseInt(arguments[2]) : 1;
        Path temp = Files.createTempDirectory("upload-throughput");
        try {
            Path folder = Files.createDirectory(temp.resolve("model"));
            Path file = folder.resolve("model.safetensors");
            write(file, bytes);
            for (int round = 1; round <= 3; round++) {
                double cpu0 = cpuSeconds();
                double plain = plainCopy(file);
                double cpu1 = cpuSeconds();
                double upload = upload(temp, folder, partBytes, transfers);
                double uploadCpu = cpuSeconds() - cpu1 - hashingCpu;
                System.out.printf(
                        "round %d: plain copy %.2f GB/s, upload %.2f GB/s (%.0f %%), CPU of both ends %.2f s and %.2f"
                                + " s a GB (%.0f %%), heap in use %d MB, resident at most %s%n",
                        round,
                        bytes / plain / 1e9,
                        bytes / upload / 1e9,
                        100 * plain / upload,
                        1e9 * (cpu1 - cpu0) / bytes,
                        1e9 * uploadCpu / bytes,
                        100 * (cpu1 - cpu0) / uploadCpu,
                        (Runtime.getRuntime().totalMemory()
                                        - Runtime.getRuntime().freeMemory())
                                >> 20,
                        Files.readString(Path.of("/proc/self/status"))
                                .lines()
                                .filter(l -> l.startsWith("VmHWM"))
                                .findFirst()
                                .orElse("?"));
            }
        } finally {
            try (var tree = Files.walk(temp)) {
                tree.sorted(java.util.Comparator.reverseOrder())
                        .forEach(path -> path.toFile().delete());
            }
        }
    }

    /** Processor time of this process: what stays comparable on a busy machine. */
    private static double cpuSeconds() {
        return ((com.sun.management.OperatingSystemMXBean)
                                java.lang.management.ManagementFactory.getOperatingSystemMXBean())
                        .getProcessCpuTime()
                / 1e9;
    }

    private static void write(Path file, long bytes) throws IOException {
        byte[] block = new byte[1 << 20];
        new Random(1).nextBytes(block);
        try (OutputStream out = Files.newOutputStream(file)) {
            for (long left = bytes; left > 0; left -= block.length) {
                out.write(block, 0, (int) Math.min(left, block.length));
            }
        }
    }

    /** Seconds of one connection from one thread to another. */
    private static double plainCopy(Path file) throws Exception {
        try (ServerSocket server = new ServerSocket(0, 1, InetAddress.getLoopbackAddress())) {
            Thread sink = Thread.ofPlatform().start(() -> {
                try (Socket socket = server.accept();
                        InputStream in = socket.getInputStream()) {
                    byte[] buffer = new byte[BUFFER_BYTES];
                    while (in.read(buffer) >= 0) {
                        // Thrown away, as the fake hub does.
                    }
                } catch (IOException e) {
                    throw new java.io.UncheckedIOException(e);
                }
            });
            long start = System.nanoTime();
            try (Socket socket = new Socket(InetAddress.getLoopbackAddress(), server.getLocalPort());
                    OutputStream out = socket.getOutputStream();
                    InputStream in = Files.newInputStream(file)) {
                byte[] buffer = new byte[BUFFER_BYTES];
                for (int read = in.read(buffer); read >= 0; read = in.read(buffer)) {
                    out.write(buffer, 0, read);
                }
            }
            sink.join();
            return (System.nanoTime() - start) / 1e9;
        }
    }

    /** Seconds of sending, from the first byte of the large file to its verification; hashing is not counted. */
    private static double upload(Path temp, Path folder, long partBytes, int transfers) throws IOException {
        try (FakeHub hub = new FakeHub()) {
            hub.discard = true;
            hub.partBytes = partBytes;
            HubSettings settings = new HubSettings(
                    URI.create(hub.endpoint()),
                    temp.resolve("cache"),
                    temp.resolve("state"),
                    Optional.of(HubToken.of(FakeHub.TOKEN)),
                    false);
            PublishRequest request = new PublishRequest(
                    folder,
                    RepoName.parse("org/large"),
                    "main",
                    PublishRequest.Visibility.PUBLIC,
                    PublishRequest.How.COMMIT,
                    PublishRequest.Leftovers.KEEP,
                    "Upload",
                    transfers);
            long[] times = new long[1];
            double before = cpuSeconds();
            new Publisher(settings).publish(request, new TransferListener() {
                @Override
                public void stage(String what) {
                    if (what.startsWith("sending")) {
                        times[0] = System.nanoTime();
                        hashingCpu = cpuSeconds() - before;
                    }
                }

                @Override
                public void bytes(long done, long total) {}
            });
            return (System.nanoTime() - times[0]) / 1e9;
        }
    }
}
