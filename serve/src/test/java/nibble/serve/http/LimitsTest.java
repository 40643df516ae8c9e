package nibble.serve.http;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import java.io.IOException;
import java.io.OutputStream;
import java.net.Socket;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.function.BooleanSupplier;
import nibble.datasets.chat.ChatTemplate;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInfo;

/** Keys, origins, limits, slow and vanishing clients, and the end of the server. */
class LimitsTest {
    private static final String PATH = "/v1/completions";
    private static final String HASTY = "hasty";
    private static final String LONG = "{\"prompt\": \"The city of\", \"max_tokens\": 200, \"ignore_eos\": true%s}";

    @SuppressWarnings("NullAway.Init")
    private TestServer server;

    /** Starts a server that waits for a second where a test waits for that, and otherwise bears a busy machine. */
    @BeforeEach
    void start(TestInfo test) {
        Duration patience = Duration.ofSeconds(test.getTags().contains(HASTY) ? 1 : 20);
        server = new TestServer(
                options -> TestServer.strict(options, patience), Optional.of(ChatTemplate.named("chatml")), 2);
    }

    @AfterEach
    void stop() {
        server.close();
        assertThat(server.log).isEmpty();
    }

    private HttpResponse<String> post(String body, String... headers) throws Exception {
        String[] all = new String[headers.length + 2];
        System.arraycopy(headers, 0, all, 2, headers.length);
        all[0] = "Authorization";
        all[1] = "Bearer secret";
        return server.post(PATH, body, all);
    }

    private static void eventually(BooleanSupplier condition) throws InterruptedException {
        long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(60);
        while (!condition.getAsBoolean()) {
            assertThat(System.nanoTime()).isLessThan(deadline);
            Thread.sleep(10);
        }
    }

    private Socket raw(String text) throws IOException {
        return RawClient.send(server.server.address(), text);
    }

    private static String answer(Socket socket) {
        return RawClient.answer(socket);
    }

    private static String request(String body) {
        return "POST " + PATH + " HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer secret\r\nContent-Type:"
                + " application/json\r\nContent-Length: " + body.length() + "\r\n\r\n" + body;
    }

    @Test
    void a_key_is_needed_where_something_is_computed() throws Exception {
        for (String header : List.of("", "Bearer wrong", "Bearer", "Basic secret", "secret", "Bearer secret2")) {
            HttpResponse<String> response =
                    header.isEmpty() ? server.post(PATH, "{}") : server.post(PATH, "{}", "Authorization", header);
            assertThat(response.statusCode()).as(header).isEqualTo(401);
            assertThat(response.headers().firstValue("WWW-Authenticate")).hasValue("Bearer");
            JsonNode error = TestServer.JSON.readTree(response.body()).get("error");
            assertThat(error.get("code").asText()).isEqualTo("invalid_api_key");
            assertThat(error.get("message").asText()).doesNotContain("secret");
        }
        for (String path : List.of("/v1/models", "/v1/models/wiki")) {
            assertThat(server.get(path).statusCode()).isEqualTo(401);
            assertThat(server.get(path, "Authorization", "bearer secret").statusCode())
                    .isEqualTo(200);
        }
        for (String path : List.of("/health", "/ping", "/version", "/metrics", "/")) {
            assertThat(server.get(path).statusCode()).as(path).isEqualTo(200);
        }
        assertThat(post("{\"prompt\": \"a\", \"max_tokens\": 1}").statusCode()).isEqualTo(200);
        assertThat(TestServer.strict(ServerOptions.local(0), Duration.ofSeconds(1))
                        .toString())
                .doesNotContain("secret");
    }

    @Test
    void paths_methods_and_types_that_there_are_not_are_refused_in_the_same_form() throws Exception {
        assertThat(server.get("/nope").statusCode()).isEqualTo(404);
        assertThat(TestServer.JSON
                        .readTree(server.get("/nope").body())
                        .at("/error/message")
                        .asText())
                .contains("/nope");
        HttpResponse<String> get = server.get(PATH);
        assertThat(get.statusCode()).isEqualTo(405);
        assertThat(get.headers().firstValue("Allow")).hasValue("POST");
        assertThat(server.post("/health", "{}").statusCode()).isEqualTo(405);
        try (Socket socket = raw("POST " + PATH + " HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer secret\r\n"
                + "Content-Type: text/plain\r\nContent-Length: 2\r\n\r\n{}")) {
            assertThat(answer(socket)).startsWith("HTTP/1.1 400").contains("application/json is allowed");
        }
    }

    @Test
    void an_allowed_origin_may_call_and_another_may_not() throws Exception {
        String[][] origins = {{"http://friend.example", "200"}, {"http://127.0.0.1:9", "400"}};
        for (String[] origin : origins) {
            try (Socket socket = raw("OPTIONS " + PATH + " HTTP/1.1\r\nHost: localhost\r\nOrigin: " + origin[0]
                    + "\r\nAccess-Control-Request-Method: POST\r\nConnection: close\r\n\r\n")) {
                String answer = answer(socket);
                assertThat(answer).startsWith("HTTP/1.1 " + origin[1]);
                assertThat(answer.contains("Access-Control-Allow-Origin: " + origin[0]))
                        .isEqualTo(origin[1].equals("200"));
            }
        }
    }

    @Test
    void a_body_beyond_the_limit_is_413_with_and_without_its_length() throws Exception {
        String large = "{\"prompt\": \"" + "a".repeat(1 << 18) + "\"}";
        assertThat(post(large).statusCode()).isEqualTo(413);
        try (Socket socket = raw("POST " + PATH + " HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer secret\r\n"
                + "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n")) {
            OutputStream out = socket.getOutputStream();
            byte[] chunk = ("4000\r\n" + " ".repeat(0x4000) + "\r\n").getBytes(StandardCharsets.ISO_8859_1);
            for (int i = 0; i < 8; i++) {
                out.write(chunk);
            }
            out.write("0\r\n\r\n".getBytes(StandardCharsets.ISO_8859_1));
            assertThat(answer(socket)).startsWith("HTTP/1.1 413");
        }
    }

    @Test
    @Tag(HASTY)
    void a_body_that_does_not_come_is_408_and_one_that_trickles_too() throws Exception {
        String head = "POST " + PATH + " HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer secret\r\nContent-Type:"
                + " application/json\r\nContent-Length: 1000\r\n\r\n";
        try (Socket socket = raw(head)) {
            assertThat(answer(socket)).startsWith("HTTP/1.1 408");
        }
        try (Socket socket = raw(head)) {
            CompletableFuture<String> answer = CompletableFuture.supplyAsync(() -> answer(socket));
            for (int i = 0; i < 400 && !answer.isDone(); i++) {
                try {
                    socket.getOutputStream().write(' ');
                } catch (IOException e) {
                    break;
                }
                Thread.sleep(50);
            }
            assertThat(answer.get(5, TimeUnit.SECONDS)).startsWith("HTTP/1.1 408");
        }
    }

    @Test
    @Tag(HASTY)
    void a_head_that_trickles_is_cut_off() throws Exception {
        try (Socket socket = raw("GET /health HTTP/1.1\r\nHost: localhost\r\nX-A: ")) {
            CompletableFuture<String> answer = CompletableFuture.supplyAsync(() -> answer(socket));
            for (int i = 0; i < 400 && !answer.isDone(); i++) {
                try {
                    socket.getOutputStream().write('a');
                } catch (IOException e) {
                    break;
                }
                Thread.sleep(50);
            }
            assertThat(answer.get(5, TimeUnit.SECONDS)).doesNotContain("200 OK");
        }
    }

    @Test
    void a_head_beyond_the_limit_is_431_in_the_same_form() throws Exception {
        try (Socket socket =
                raw("GET /health HTTP/1.1\r\nHost: localhost\r\nX-A: " + "a".repeat(20_000) + "\r\n\r\n")) {
            assertThat(answer(socket)).startsWith("HTTP/1.1 431").contains("invalid_request_error");
        }
        try (Socket socket = raw("GET /health HTTP/1.1\r\nNo colon here\r\n\r\n")) {
            assertThat(answer(socket)).startsWith("HTTP/1.1 400").contains("invalid_request_error");
        }
    }

    @Test
    void a_full_queue_is_429_with_a_time_to_ask_again() throws Exception {
        server.slow().pause = 50;
        List<Socket> clients = new ArrayList<>();
        for (int i = 0; i < 3; i++) {
            clients.add(raw(request(LONG.formatted(""))));
            int waiting = i;
            eventually(() -> server.generation.state().running() == 1
                    && server.generation.state().waiting() == waiting);
        }
        HttpResponse<String> refused = post("{\"prompt\": \"a\", \"max_tokens\": 1}");
        assertThat(refused.statusCode()).isEqualTo(429);
        assertThat(refused.headers().firstValue("Retry-After")).hasValue("1");
        assertThat(TestServer.JSON.readTree(refused.body()).at("/error/code").asText())
                .isEqualTo("rate_limit_exceeded");
        for (Socket client : clients) {
            client.close();
        }
        // Both those that wait and the one that runs are cancelled, so that the queue empties long before 200 tokens.
        eventually(() -> server.generation.state().running() == 0
                && server.generation.state().waiting() == 0);
        assertThat(server.generation.state().generatedTokens()).isLessThan(150);
        assertThat(server.get("/metrics").body()).contains("finished_reason=\"abort\"} 3.0");
    }

    @Test
    void a_client_that_goes_frees_its_text_streaming_or_not() throws Exception {
        server.slow().pause = 20;
        for (String stream : List.of("", ", \"stream\": true")) {
            long before = server.generation.state().generatedTokens();
            try (Socket socket = raw(request(LONG.formatted(stream)))) {
                eventually(() -> server.generation.state().generatedTokens() > before + 3);
                if (!stream.isEmpty()) {
                    assertThat(socket.getInputStream().read()).isEqualTo('H');
                }
            }
            eventually(() -> server.generation.state().running() == 0);
            assertThat(server.generation.state().generatedTokens()).isLessThan(before + 150);
        }
    }

    @Test
    void a_client_that_sends_its_next_request_early_gets_both_answers() throws Exception {
        server.slow().pause = 30;
        String first = request("{\"prompt\": \"The city of\", \"max_tokens\": 20, \"ignore_eos\": true}");
        try (Socket socket = raw(first)) {
            eventually(() -> server.generation.state().generatedTokens() > 3);
            socket.getOutputStream()
                    .write("GET /version HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
                            .getBytes(StandardCharsets.ISO_8859_1));
            String answers = answer(socket);
            assertThat(answers).contains("text_completion").contains("\"version\":");
            assertThat(answers.split("HTTP/1.1 200")).hasSize(3);
        }
    }

    @Test
    @Tag(HASTY)
    void a_text_that_takes_longer_than_the_time_to_send_a_request_is_answered() throws Exception {
        server.slow().pause = 100;
        HttpResponse<String> response = post("{\"prompt\": \"a\", \"max_tokens\": 20, \"ignore_eos\": true}");
        assertThat(response.statusCode()).isEqualTo(200);
        HttpResponse<String> streamed =
                post("{\"prompt\": \"a\", \"max_tokens\": 20, \"ignore_eos\": true, \"stream\": true}");
        assertThat(streamed.body()).endsWith("data: [DONE]\n\n").contains("\"length\"");
    }

    @Test
    void draining_finishes_what_runs_and_refuses_what_comes() throws Exception {
        server.slow().pause = 30;
        CompletableFuture<HttpResponse<String>> running = CompletableFuture.supplyAsync(() -> {
            try {
                return post("{\"prompt\": \"a\", \"max_tokens\": 30, \"ignore_eos\": true, \"stream\": true}");
            } catch (Exception e) {
                throw new IllegalStateException(e);
            }
        });
        eventually(() -> server.generation.state().generatedTokens() > 2);
        CompletableFuture<Boolean> drained = CompletableFuture.supplyAsync(() -> {
            try {
                return server.server.drain(Duration.ofSeconds(20));
            } catch (InterruptedException e) {
                throw new IllegalStateException(e);
            }
        });
        eventually(() -> {
            try {
                return server.get("/health").statusCode() == 503;
            } catch (IOException | InterruptedException e) {
                throw new IllegalStateException(e);
            }
        });
        HttpResponse<String> refused = post("{\"prompt\": \"a\"}");
        assertThat(refused.statusCode()).isEqualTo(503);
        assertThat(refused.headers().firstValue("Retry-After")).isPresent();
        assertThat(running.get(20, TimeUnit.SECONDS).body())
                .endsWith("data: [DONE]\n\n")
                .contains("\"finish_reason\":\"length\"");
        assertThat(drained.get(20, TimeUnit.SECONDS)).isTrue();
    }

    @Test
    void a_server_that_ends_under_a_text_says_so_in_the_stream() throws Exception {
        server.slow().pause = 30;
        CompletableFuture<HttpResponse<String>> running = CompletableFuture.supplyAsync(() -> {
            try {
                return post(LONG.formatted(", \"stream\": true"));
            } catch (Exception e) {
                throw new IllegalStateException(e);
            }
        });
        eventually(() -> server.generation.state().generatedTokens() > 2);
        server.generation.close();
        assertThat(running.get(20, TimeUnit.SECONDS).body())
                .contains("\"error\":")
                .endsWith("data: [DONE]\n\n");
    }

    @Test
    void a_client_that_reads_nothing_is_given_up() throws Exception {
        try (TestServer flooding = new TestServer(
                options -> TestServer.strict(options, Duration.ofSeconds(1)),
                Optional.empty(),
                llama -> new FloodService())) {
            // More than the buffers of a connection hold.
            String body = "{\"prompt\": \"a\", \"max_tokens\": 250, \"n\": 128, \"stream\": true}";
            try (Socket socket = RawClient.send(flooding.server.address(), request(body))) {
                eventually(() -> {
                    try {
                        return flooding.get("/metrics").body().contains("method=\"POST\",status=\"4xx\"} 1.0");
                    } catch (IOException | InterruptedException e) {
                        throw new IllegalStateException(e);
                    }
                });
                assertThat(socket.isConnected()).isTrue();
            }
        }
    }

    @Test
    void a_server_without_a_key_answers_to_no_foreign_name() throws Exception {
        try (TestServer open = new TestServer()) {
            for (String[] host : new String[][] {
                {"evil.example", "403"}, {"localhost:1", "200"}, {"127.0.0.1", "200"}, {"[::1]:80", "200"}
            }) {
                try (Socket socket =
                        new Socket("127.0.0.1", open.server.address().getPort())) {
                    socket.getOutputStream()
                            .write(("GET /version HTTP/1.1\r\nHost: " + host[0] + "\r\nConnection: close\r\n\r\n")
                                    .getBytes(StandardCharsets.ISO_8859_1));
                    assertThat(answer(socket)).startsWith("HTTP/1.1 " + host[1]);
                }
            }
        }
    }
}
