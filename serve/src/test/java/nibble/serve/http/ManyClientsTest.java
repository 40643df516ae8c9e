package nibble.serve.http;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import java.net.Socket;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.function.UnaryOperator;
import nibble.engine.batch.BatchOptions;
import nibble.engine.batch.ServiceState;
import nibble.engine.batch.ThreadedService;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** Many clients at once on the service that batches. */
class ManyClientsTest {
    private static final int CLIENTS = 32;

    @SuppressWarnings("NullAway.Init")
    private TestServer server;

    @BeforeEach
    void start() {
        server = new TestServer(
                UnaryOperator.identity(),
                Optional.empty(),
                llama -> new ThreadedService(llama, new BatchOptions(8, 100, 2048, 64)));
    }

    @AfterEach
    void stop() {
        server.close();
        assertThat(server.log).isEmpty();
    }

    private String text(int client, boolean stream) throws Exception {
        String request = ("{'prompt': 'In %d the city of', 'max_tokens': 12, 'temperature': %s, 'seed': %d%s}")
                .formatted(1900 + client, client % 2 == 0 ? "0" : "0.8", client, stream ? ", 'stream': true" : "");
        if (!stream) {
            return server.answer("/v1/completions", request)
                    .at("/choices/0/text")
                    .asText();
        }
        StringBuilder text = new StringBuilder();
        for (JsonNode piece : server.pieces("/v1/completions", request)) {
            text.append(piece.at("/choices/0/text").asText());
        }
        return text.toString();
    }

    @Test
    void each_of_many_clients_gets_the_text_it_gets_alone() throws Exception {
        List<String> alone = new ArrayList<>();
        for (int client = 0; client < CLIENTS; client++) {
            alone.add(text(client, false));
        }
        assertThat(Set.copyOf(alone)).hasSizeGreaterThan(CLIENTS / 2);
        CountDownLatch together = new CountDownLatch(CLIENTS);
        try (ExecutorService threads = Executors.newVirtualThreadPerTaskExecutor()) {
            List<Future<String>> answers = new ArrayList<>();
            for (int client = 0; client < CLIENTS; client++) {
                int number = client;
                answers.add(threads.submit(() -> {
                    together.countDown();
                    together.await();
                    return text(number, number % 3 == 0);
                }));
            }
            for (int client = 0; client < CLIENTS; client++) {
                assertThat(answers.get(client).get(5, TimeUnit.MINUTES))
                        .as("client %d", client)
                        .isEqualTo(alone.get(client));
            }
        }
        awaitFree();
        assertThat(server.get("/metrics").body())
                .contains("vllm:num_requests_running{engine=\"0\",model_name=\"wiki\"} 0.0")
                .containsPattern("finished_reason=\"(stop|length)\"} [1-9]");
    }

    @Test
    void clients_that_are_killed_free_their_blocks() throws Exception {
        List<Socket> clients = new ArrayList<>();
        for (int i = 0; i < 12; i++) {
            String body = "{\"prompt\": \"The city of\", \"max_tokens\": 240, \"ignore_eos\": true, \"stream\": "
                    + (i % 2 == 0) + "}";
            clients.add(RawClient.send(
                    server.server.address(),
                    "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                            + "Content-Length: " + body.length() + "\r\n\r\n" + body));
        }
        while (server.generation.state().running() < 8) {
            Thread.sleep(5);
        }
        for (Socket client : clients) {
            client.close();
        }
        awaitFree();
        // 12 texts of 240 tokens would be 2,880.
        assertThat(server.generation.state().generatedTokens()).isLessThan(2500);
        assertThat(text(0, false)).isNotEmpty();
    }

    private void awaitFree() throws InterruptedException {
        long deadline = System.nanoTime() + TimeUnit.MINUTES.toNanos(5);
        for (ServiceState state = server.generation.state();
                state.running() + state.waiting() + state.usedBlocks() > 0;
                state = server.generation.state()) {
            assertThat(System.nanoTime()).as("%s", state).isLessThan(deadline);
            Thread.sleep(10);
        }
    }
}
