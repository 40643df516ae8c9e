package nibble.serve.http;

import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.util.Arrays;
import java.util.Iterator;
import java.util.Random;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.ConcurrentMap;
import java.util.concurrent.ConcurrentSkipListMap;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;
import java.util.stream.Stream;

/**
 * Asks a server for streams from many clients, one after another each, and prints how long tokens took. Arguments:
 * address, clients, seconds. One of ten clients leaves its answer half read. The causes of failures come with their
 * counts.
 */
final class LoadRun {
    private static final int MOST_TOKENS = 64;

    private final HttpClient client = HttpClient.newBuilder()
            .version(HttpClient.Version.HTTP_1_1)
            .executor(Executors.newVirtualThreadPerTaskExecutor())
            .build();
    private final URI address;
    private final long end;
    private final ConcurrentLinkedQueue<Double> first = new ConcurrentLinkedQueue<>();
    private final ConcurrentLinkedQueue<Double> next = new ConcurrentLinkedQueue<>();
    private final AtomicInteger answers = new AtomicInteger();
    private final AtomicInteger left = new AtomicInteger();
    private final AtomicInteger errors = new AtomicInteger();
    private final AtomicLong pieces = new AtomicLong();
    /** Why requests failed, and how often. */
    private final ConcurrentMap<String, AtomicInteger> causes = new ConcurrentSkipListMap<>();

    private LoadRun(URI address, int seconds) {
        this.address = address;
        end = System.nanoTime() + TimeUnit.SECONDS.toNanos(seconds);
    }

    public static void main(String[] arguments) throws InterruptedException {
        int clients = Integer.parseInt(arguments[1]);
        int seconds = Integer.parseInt(arguments[2]);
        LoadRun run = new LoadRun(URI.create(arguments[0]).resolve("/v1/completions"), seconds);
        try (ExecutorService threads = Executors.newVirtualThreadPerTaskExecutor()) {
            for (int number = 0; number < clients; number++) {
                int seed = number;
                threads.submit(() -> run.ask(new Random(seed), seed % 10 == 9));
            }
        }
        System.out.printf(
                "%d clients, %d s: %d answers, %d left half read, %d errors, %.0f pieces/s%n",
                clients,
                seconds,
                run.answers.get(),
                run.left.get(),
                run.errors.get(),
                run.pieces.get() / (double) seconds);
        run.causes.forEach((cause, count) -> System.out.println(count + " times: " + cause));
        print("time to the first piece", run.first);
        print("time from piece to piece", run.next);
    }

    private static void print(String what, ConcurrentLinkedQueue<Double> seconds) {
        double[] sorted =
                seconds.stream().mapToDouble(Double::doubleValue).sorted().toArray();
        if (sorted.length > 0) {
            System.out.printf(
                    "%s: p50 %.0f ms, p99 %.0f ms, max %.0f ms, mean %.0f ms%n",
                    what,
                    1e3 * sorted[sorted.length / 2],
                    1e3 * sorted[(int) (sorted.length * 0.99)],
                    1e3 * sorted[sorted.length - 1],
                    1e3 * Arrays.stream(sorted).average().orElse(0));
        }
    }

    private void ask(Random random, boolean leaves) {
        while (System.nanoTime() < end) {
            String body = "{\"prompt\": \"In %d the city of\", \"max_tokens\": %d, \"stream\": true, \"seed\": %d}"
                    .formatted(1500 + random.nextInt(500), 8 + random.nextInt(MOST_TOKENS), random.nextInt(1000));
            HttpRequest request = HttpRequest.newBuilder(address)
                    .header("Content-Type", "application/json")
                    .POST(HttpRequest.BodyPublishers.ofString(body))
                    .build();
            long last = System.nanoTime();
            boolean begun = false;
            boolean done = false;
            boolean stopped = false;
            String cause = "the stream ended before its last line";
            try {
                HttpResponse<Stream<String>> response = client.send(request, HttpResponse.BodyHandlers.ofLines());
                try (Stream<String> lines = response.body()) {
                    int seen = 0;
                    for (Iterator<String> each = lines.iterator(); each.hasNext(); ) {
                        String line = each.next();
                        if (line.isEmpty()) {
                            continue;
                        }
                        done |= line.equals("data: [DONE]");
                        if (response.statusCode() != 200 || line.contains("\"error\"")) {
                            cause = "status " + response.statusCode() + ", " + line;
                            break;
                        }
                        long now = System.nanoTime();
                        (begun ? next : first).add((now - last) / 1e9);
                        begun = true;
                        last = now;
                        pieces.incrementAndGet();
                        if (leaves && ++seen == 4) {
                            stopped = true;
                            break;
                        }
                    }
                }
            } catch (IOException | InterruptedException | RuntimeException e) {
                done = false;
                cause = String.valueOf(e);
            }
            (done ? answers : stopped ? left : errors).incrementAndGet();
            if (!done && !stopped) {
                causes.computeIfAbsent(cause, _ -> new AtomicInteger()).incrementAndGet();
            }
        }
    }
}
