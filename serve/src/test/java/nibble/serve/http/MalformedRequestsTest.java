package nibble.serve.http;

import static java.util.stream.Collectors.counting;
import static java.util.stream.Collectors.groupingBy;
import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.net.Socket;
import java.net.URI;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import java.util.TreeMap;
import nibble.datasets.chat.ChatTemplate;
import org.junit.jupiter.api.Test;

/**
 * Requests that no client should send: each gets an answer of 400 to 499 in OpenAI's form, and the server goes on as
 * before. {@code -Dnibble.malformed=2000} sends more of them.
 */
class MalformedRequestsTest {
    private static final int COUNT = Integer.getInteger("nibble.malformed", 200);
    /**
     * How long the server waits for a client. Jetty counts its own work on a request too, and on a busy machine the
     * first of a kind takes half a second.
     */
    private static final Duration PATIENCE = Duration.ofSeconds(5);

    private static final String COMPLETIONS = "/v1/completions";
    private static final String CHAT = "/v1/chat/completions";

    /** Values of a wrong type or out of range for each field. */
    private static final Map<String, String[]> WRONG = Map.ofEntries(
            Map.entry("prompt", new String[] {"{}", "true", "[[]]", "[{}]", "[1, null]", "[\"a\", 1]", "\"\\udc00\""}),
            Map.entry("max_tokens", new String[] {"-1", "1.5", "\"x\"", "[]", "1e400", "99999999999999999999"}),
            Map.entry("temperature", new String[] {"-0.1", "\"1\"", "{}", "1e999"}),
            Map.entry("top_p", new String[] {"0", "1.01", "-1", "\"a\""}),
            Map.entry("top_k", new String[] {"-2", "0.5", "\"all\""}),
            Map.entry("min_p", new String[] {"-1", "2", "[]"}),
            Map.entry("n", new String[] {"0", "-1", "1000000", "\"2\""}),
            Map.entry("seed", new String[] {"\"a\"", "1.5", "1e30", "[]"}),
            Map.entry("stop", new String[] {"\"\"", "5", "[5]", "{}", "[[\"a\"]]"}),
            Map.entry("stream", new String[] {"\"true\"", "1", "[]"}),
            Map.entry("stream_options", new String[] {"5", "[]", "{\"include_usage\": true}"}),
            Map.entry("logit_bias", new String[] {"{\"1\": 5}", "7"}),
            Map.entry("frequency_penalty", new String[] {"2.5", "-3", "\"x\""}),
            Map.entry("repetition_penalty", new String[] {"0", "-1"}),
            Map.entry("stop_token_ids", new String[] {"5", "[\"a\"]", "[1000000]", "[-1]"}),
            Map.entry("response_format", new String[] {"\"json\"", "{\"type\": \"json_object\"}", "[]"}),
            Map.entry("model", new String[] {"5", "\"none\"", "[]"}));

    @Test
    void every_malformed_request_gets_a_refusal_and_nothing_else() throws Exception {
        Random random = new Random(7);
        List<Answered> answers = new ArrayList<>();
        Map<Integer, Socket> unfinished = new TreeMap<>();
        try (TestServer server = new TestServer(
                options -> new ServerOptions(
                        options.host(), 0, Optional.empty(), options.origins(), 1 << 17, PATIENCE, 1000),
                Optional.of(ChatTemplate.named("chatml")),
                8)) {
            URI address = server.server.address();
            for (int i = 0; i < COUNT; i++) {
                String request = request(i, random);
                if (isUnfinished(i)) {
                    unfinished.put(i, RawClient.send(address, request));
                    continue;
                }
                try (Socket socket = RawClient.send(address, request)) {
                    answers.add(new Answered(i, request, RawClient.answer(socket)));
                } catch (IOException e) {
                    answers.add(new Answered(i, request, e.toString()));
                }
            }
            for (Map.Entry<Integer, Socket> each : unfinished.entrySet()) {
                try (Socket socket = each.getValue()) {
                    answers.add(new Answered(each.getKey(), "a body that does not come", RawClient.answer(socket)));
                }
            }
            Map<String, Long> statuses =
                    answers.stream().collect(groupingBy(Answered::status, TreeMap::new, counting()));
            System.out.println(COUNT + " malformed requests, answers by status: " + statuses);
            assertThat(answers)
                    .hasSize(COUNT)
                    .filteredOn(answer -> !answer.isRefusal())
                    .isEmpty();
            assertThat(statuses.get("408")).as("bodies that do not come").isEqualTo(unfinished.size());
            assertThat(server.log).isEmpty();
            assertThat(server.answer(COMPLETIONS, "{'prompt': 'a', 'max_tokens': 1}")
                            .get("choices"))
                    .hasSize(1);
            assertThat(server.server.address()).isNotNull();
        }
    }

    private record Answered(int number, String request, String answer) {
        String status() {
            return answer.replaceFirst("(?s)^HTTP/1\\.1 (\\d{3}).*", "$1");
        }

        boolean isRefusal() {
            return status().matches("4\\d\\d") && answer.contains("\"error\":{\"message\":");
        }

        @Override
        public String toString() {
            return number + ": " + shortly(request) + " -> " + shortly(answer);
        }
    }

    private static String shortly(String text) {
        return text.length() > 300 ? text.substring(0, 300) + "… (" + text.length() + ")" : text;
    }

    /** Those whose body does not come are few, and wait beside one another. */
    private static boolean isUnfinished(int i) {
        return i % 48 == 11;
    }

    /** Kinds take turns, so that each is there many times. */
    private static String request(int i, Random random) {
        String path = random.nextBoolean() ? COMPLETIONS : CHAT;
        return switch (i % 12) {
            case 0 -> post(path, cut(random));
            case 1 -> post(path, "[".repeat(1 + random.nextInt(50_000)));
            case 2 -> post(path, "{\"a\":".repeat(100 + random.nextInt(10_000)) + "1");
            case 3 -> post(COMPLETIONS, "{\"prompt\": \"" + (char) (0x80 + random.nextInt(0x40)) + "\"}");
            case 4 -> post(path, noise(random));
            case 5, 6 -> wrongField(random);
            case 7 -> post(path, "{\"n\": 1, \"prompt\": \"a\", \"messages\": [], \"n\": 2}");
            case 8 -> post(path, " ".repeat((1 << 17) + random.nextInt(1 << 20)));
            case 9 -> wrongHead(random, path);
            case 10 -> wrongMessages(random);
            default ->
                isUnfinished(i)
                        ? head(path, "Content-Length: 500\r\n") + "{\"prompt\": "
                        : post(path, "\"" + "a".repeat(random.nextInt(100)) + "\"");
        };
    }

    private static String head(String path, String headers) {
        return "POST " + path
                + " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\n" + headers
                + "\r\n";
    }

    private static String post(String path, String body) {
        return head(path, "Content-Length: " + body.length() + "\r\n") + body;
    }

    private static String cut(Random random) {
        String whole =
                "{\"model\": \"wiki\", \"prompt\": \"a\", \"messages\": [{\"role\": \"user\", \"content\": \"x\"}]}";
        return whole.substring(0, random.nextInt(whole.length()));
    }

    private static String noise(Random random) {
        StringBuilder text = new StringBuilder("{");
        for (int i = random.nextInt(200); i >= 0; i--) {
            text.append((char) (random.nextInt(256)));
        }
        return text.append('!').toString();
    }

    private static String wrongField(Random random) {
        List<String> names = WRONG.keySet().stream().sorted().toList();
        String name = names.get(random.nextInt(names.size()));
        String[] values = WRONG.get(name);
        String value = values[random.nextInt(values.length)];
        return post(
                COMPLETIONS,
                name.equals("prompt")
                        ? "{\"prompt\": " + value + "}"
                        : "{\"prompt\": \"a\", \"" + name + "\": " + value + "}");
    }

    private static String wrongHead(Random random, String path) {
        return switch (random.nextInt(8)) {
            case 0 -> "GET " + path + " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
            case 1 -> "DELETE / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
            case 2 -> "GET /%zz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
            case 3 -> "GET /../../etc/passwd HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
            case 4 -> head(path, "X-Long: " + "a".repeat(40_000) + "\r\n");
            case 5 -> head(path, "Content-Length: -5\r\n");
            case 6 -> head(path, "Transfer-Encoding: chunked\r\n") + "zz\r\n{}\r\n0\r\n\r\n";
            default ->
                "POST " + path + " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: text/plain\r\n"
                        + "Content-Length: 2\r\n\r\n{}";
        };
    }

    private static String wrongMessages(Random random) {
        String[] messages = {
            "null",
            "5",
            "\"a\"",
            "{}",
            "[]",
            "[5]",
            "[null]",
            "[[]]",
            "[{}]",
            "[{\"role\": 5}]",
            "[{\"role\": \"user\"}]",
            "[{\"role\": \"user\", \"content\": 5}]",
            "[{\"role\": \"user\", \"content\": []}]",
            "[{\"role\": \"user\", \"content\": [5]}]",
            "[{\"role\": \"user\", \"content\": [{\"type\": \"image_url\"}]}]",
            "[{\"role\": \"root\", \"content\": \"a\"}]",
            "[{\"role\": \"user\", \"content\": \"\\ud83d\"}]"
        };
        return post(CHAT, "{\"messages\": " + messages[random.nextInt(messages.length)] + "}");
    }
}
