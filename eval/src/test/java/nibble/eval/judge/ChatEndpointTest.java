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
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;
import java.util.Optional;
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
            Answer answer = answers.removeFirst();
            for (int i = 0; i < answer.headers().length; i += 2) {
                exchange.getResponseHeaders().add(answer.headers()[i], answer.headers()[i + 1]);
            }
            byte[] body = answer.body().getBytes(StandardCharsets.UTF_8);
            exchange.sendResponseHeaders(answer.status(), body.length == 0 ? -1 : body.length);
            exchange.getResponseBody().write(body);
            exchange.close();
        });
        server.start();
    }

    @AfterEach
    void stop() {
        server.stop(0);
    }

    private JudgeModel.Reply ask(Answer... queued) {
        answers.addAll(List.of(queued));
        URI base = URI.create("http://127.0.0.1:" + server.getAddress().getPort() + "/v1/");
        ChatEndpoint.Settings settings = new ChatEndpoint.Settings(base, "j-1", Optional.of("sk-secret"), 2048);
        try (ChatEndpoint endpoint = new ChatEndpoint(settings, ProxySelector.of(null), pauses::add, notes::add)) {
            return endpoint.ask("be strict", "grade é");
        }
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
