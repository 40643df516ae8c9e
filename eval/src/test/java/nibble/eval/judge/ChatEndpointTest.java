package nibble.eval.judge;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.ProxySelector;
import java.net.ServerSocket;
import java.net.Socket;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** What is sent to a judge's server, and what comes of its answers. */
class ChatEndpointTest {
    private static final String GOOD = """
        {"choices": [{"message": {"role": "assistant", "content": "Rating: [[7]]"}}],
         "usage": {"prompt_tokens": 12, "completion_tokens": 3, "total_tokens": 15}}\
        """;

    /** An answer of the server. */
    private record Answer(int status, String body, String... headers) {}

    private final Deque<Answer> answers = new ArrayDeque<>();
    private final List<JsonNode> bodies = new ArrayList<>();
    private final List<String> keys = new ArrayList<>();
    private final List<String> proxyKeys = new ArrayList<>();
    private final List<Duration> pauses = new ArrayList<>();
    private final List<String> notes = new ArrayList<>();

    @SuppressWarnings("NullAway.Init")
    private HttpServer server;

    @BeforeEach
    void start() throws IOException {
        server = HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0);
        server.createContext("/v1/chat/completions", exchange -> {
            bodies.add(new ObjectMapper().readTree(exchange.getRequestBody().readAllBytes()));
            keys.add(String.valueOf(exchange.getRequestHeaders().getFirst("Authorization")));
            proxyKeys.add(String.valueOf(exchange.getRequestHeaders().getFirst("Proxy-Authorization")));
            Answer answer = answers.removeFirst();
            for (int i = 0; i < answer.headers().length; i += 2) {
                exchange.getResponseHeaders().add(answer.headers()[i], answer.headers()[i + 1]);
            }
            byte[] body = answer.body().getBytes(StandardCharsets.UTF_8);
            exchange.sendResponseHeaders(answer.status(), body.length == 0 ? -1 : body.length);
            exchange.getResponseBody().write(body);
            exchange.close();
        });
        server.setExecutor(command -> Thread.ofVirtual().start(command));
        server.start();
    }

    @AfterEach
    void stop() {
        server.stop(0);
    }

    private JudgeModel.Reply ask(Answer... queued) {
        answers.addAll(List.of(queued));
        try (ChatEndpoint endpoint = endpoint(address(server), Duration.ofMinutes(1))) {
            return endpoint.ask("be strict", "grade é");
        }
    }

    private static String address(HttpServer server) {
        return "http://127.0.0.1:" + server.getAddress().getPort() + "/v1/";
    }

    private ChatEndpoint endpoint(String base, Duration limit) {
        return new ChatEndpoint(
                new ChatEndpoint.Settings(URI.create(base), "j-1", Optional.of("sk-secret"), 2048),
                new ChatEndpoint.Network(ProxySelector.of(null), Optional.empty(), limit),
                pauses::add,
                notes::add);
    }

    private void assertGivenUpAtOnce(String base, String message) {
        try (ChatEndpoint endpoint = endpoint(base, Duration.ofMinutes(1))) {
            assertThatThrownBy(() -> endpoint.ask("s", "u"))
                    .isInstanceOf(JudgeException.class)
                    .hasMessageContaining(message)
                    .hasMessageContaining("check the address and the network");
        }
        assertThat(pauses).isEmpty();
    }

    @Test
    void a_server_that_cannot_be_reached_at_first_is_not_waited_for() throws IOException {
        assertGivenUpAtOnce("http://" + "x".repeat(64) + ".invalid/v1", "no answer (no such host)");
        try (ServerSocket plain = new ServerSocket(0, 1, InetAddress.getLoopbackAddress())) {
            Thread.ofVirtual().start(() -> {
                try (Socket socket = plain.accept()) {
                    socket.getInputStream().read();
                    socket.getOutputStream()
                            .write("HTTP/1.1 400 Bad Request\r\n\r\n".getBytes(StandardCharsets.US_ASCII));
                    socket.getInputStream().readAllBytes();
                } catch (IOException e) {
                    notes.add(e.toString());
                }
            });
            assertGivenUpAtOnce("https://127.0.0.1:" + plain.getLocalPort() + "/v1", "SSL message");
        }
        int port;
        try (ServerSocket gone = new ServerSocket(0, 1, InetAddress.getLoopbackAddress())) {
            port = gone.getLocalPort();
        }
        assertGivenUpAtOnce("http://127.0.0.1:" + port + "/v1", "no answer (the connection was refused)");
    }

    @Test
    void a_server_that_goes_away_later_is_waited_for() {
        answers.add(new Answer(200, GOOD));
        try (ChatEndpoint endpoint = endpoint(address(server), Duration.ofMinutes(1))) {
            endpoint.ask("s", "u");
            server.stop(0);
            assertThatThrownBy(() -> endpoint.ask("s", "u"))
                    .isInstanceOf(JudgeException.class)
                    .hasMessageContaining("the connection was refused) in 6 tries");
        }
        assertThat(pauses).hasSize(5);
    }

    @Test
    void a_redirect_is_not_followed_so_another_host_does_not_get_the_key() throws IOException {
        List<String> elsewhere = new ArrayList<>();
        HttpServer other = HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0);
        other.createContext("/", exchange -> {
            elsewhere.add(String.valueOf(exchange.getRequestHeaders().getFirst("Authorization")));
            exchange.sendResponseHeaders(200, -1);
            exchange.close();
        });
        other.start();
        try {
            for (int status : new int[] {301, 302, 303, 307, 308}) {
                assertThatThrownBy(() -> ask(new Answer(status, "", "Location", address(other))))
                        .isInstanceOf(JudgeException.class)
                        .hasMessageContaining("HTTP " + status);
            }
        } finally {
            other.stop(0);
        }
        assertThat(elsewhere).isEmpty();
    }

    @Test
    void an_answer_without_end_is_refused_and_not_asked_for_again() {
        assertThatThrownBy(() -> ask(new Answer(200, " ".repeat((16 << 20) + 1))))
                .isInstanceOf(JudgeException.class)
                .hasMessageContaining("its answer has more than 16 MiB");
        assertThat(pauses).isEmpty();
        assertThat(ask(new Answer(200, " ".repeat((16 << 20) - GOOD.length()) + GOOD))
                        .text())
                .isEqualTo("Rating: [[7]]");
    }

    @Test
    void a_server_that_stalls_in_the_body_is_no_answer_in_time() throws Exception {
        CountDownLatch ended = new CountDownLatch(1);
        server.createContext("/stalls/chat/completions", exchange -> {
            exchange.sendResponseHeaders(200, 100);
            exchange.getResponseBody().write('{');
            exchange.getResponseBody().flush();
            try {
                ended.await(5, TimeUnit.MINUTES);
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
            }
            exchange.close();
        });
        try (ChatEndpoint endpoint = endpoint(address(server).replace("v1", "stalls"), Duration.ofMillis(200))) {
            assertThatThrownBy(() -> endpoint.ask("s", "u"))
                    .isInstanceOf(JudgeException.class)
                    .hasMessageContaining("no answer (no answer in time) in 6 tries");
        } finally {
            ended.countDown();
        }
    }

    @Test
    void no_part_of_the_key_is_shown_where_a_long_body_is_cut() {
        for (int before = 285; before <= 300; before++) {
            String body = "x".repeat(before) + "sk-secret and more";
            for (Answer answer : List.of(new Answer(401, body), new Answer(200, body))) {
                assertThatThrownBy(() -> ask(answer))
                        .isInstanceOf(JudgeException.class)
                        .hasMessageNotContaining("xs")
                        .hasNoCause();
            }
        }
    }

    @Test
    void a_proxy_gets_the_password_of_its_address() {
        answers.add(new Answer(200, GOOD));
        ChatEndpoint.Network network = new ChatEndpoint.Network(
                ProxySelector.of(server.getAddress()), Optional.of("Basic cHc="), Duration.ofMinutes(1));
        ChatEndpoint.Settings settings =
                new ChatEndpoint.Settings(URI.create("http://judge.example/v1"), "j-1", Optional.empty(), 10);
        try (ChatEndpoint endpoint = new ChatEndpoint(settings, network, pauses::add, notes::add)) {
            endpoint.ask("s", "u");
        }
        assertThat(proxyKeys).containsExactly("Basic cHc=");
        assertThat(network.toString()).doesNotContain("cHc=");
    }

    @Test
    void the_request_is_openais_and_the_answers_text_and_tokens_come_back() {
        assertThat(ask(new Answer(200, GOOD))).isEqualTo(new JudgeModel.Reply("Rating: [[7]]", 12, 3));
        assertThat(bodies)
                .singleElement()
                .hasToString("{\"model\":\"j-1\",\"messages\":[{\"role\":\"system\",\"content\":\"be strict\"},"
                        + "{\"role\":\"user\",\"content\":\"grade é\"}],\"temperature\":0,\"max_tokens\":2048}");
        assertThat(keys).containsExactly("Bearer sk-secret");
    }

    @Test
    void a_busy_server_is_asked_again_after_the_time_it_names() {
        ask(
                new Answer(429, "{}", "Retry-After", "7"),
                new Answer(503, ""),
                new Answer(500, "sk-secret failed"),
                new Answer(200, GOOD));
        assertThat(pauses).containsExactly(Duration.ofSeconds(7), Duration.ofSeconds(2), Duration.ofSeconds(4));
        assertThat(notes).hasSize(3).noneMatch(note -> note.contains("secret"));
    }

    @Test
    void a_model_that_wants_another_name_for_the_limit_gets_it() {
        ask(
                new Answer(400, "{\"error\": {\"message\": \"Use 'max_completion_tokens' instead.\"}}"),
                new Answer(200, GOOD));
        assertThat(bodies.getLast().path("max_completion_tokens").intValue()).isEqualTo(2048);
        assertThat(bodies.getLast().has("max_tokens")).isFalse();
    }

    @Test
    void a_refusal_and_an_answer_of_another_form_end_the_run_without_the_key_in_the_message() {
        assertThatThrownBy(() -> ask(new Answer(401, "bad key sk-secret\n")))
                .isInstanceOf(JudgeException.class)
                .hasMessageContaining("HTTP 401: bad key …")
                .hasMessageNotContaining("secret");
        assertThatThrownBy(() -> ask(new Answer(200, "<html>")))
                .isInstanceOf(JudgeException.class)
                .hasMessageContaining("no JSON: <html>");
        assertThatThrownBy(() -> ask(new Answer(200, "{\"choices\": []}")))
                .isInstanceOf(JudgeException.class)
                .hasMessageContaining("no text at choices[0].message.content");
        assertThatThrownBy(() -> ask(new Answer(429, "", "Retry-After", "9000")))
                .isInstanceOf(JudgeException.class)
                .hasMessageContaining("asks to wait 9000 s");
        assertThat(pauses).isEmpty();
    }

    @Test
    void a_server_that_never_recovers_is_given_up_after_six_tries() {
        Answer busy = new Answer(503, "full");
        assertThatThrownBy(() -> ask(busy, busy, busy, busy, busy, busy))
                .isInstanceOf(JudgeException.class)
                .hasMessageContaining("HTTP 503: full");
        assertThat(pauses).hasSize(5);
    }
}
