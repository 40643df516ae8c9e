package nibble.eval.judge;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.StreamReadConstraints;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.net.ConnectException;
import java.net.ProxySelector;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpConnectTimeoutException;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.net.http.HttpTimeoutException;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.function.Consumer;
import java.util.stream.Stream;
import javax.net.ssl.SSLException;
import nibble.files.Reasons;

/**
 * Asks a model behind an endpoint in OpenAI's form, at temperature 0. Waits and tries again where the server is busy or
 * does not answer. Owns its connections until closed.
 */
public final class ChatEndpoint implements JudgeModel, AutoCloseable {
    /** Waits between tries. */
    @FunctionalInterface
    public interface Pause {
        void sleep(Duration time) throws InterruptedException;
    }

    private static final ObjectMapper JSON = new ObjectMapper();
    private static final Set<Integer> BUSY = Set.of(408, 409, 429, 500, 502, 503, 504, 529);
    private static final int TRIES = 6;
    private static final long MAX_ANSWER_BYTES = 16L << 20;
    private static final Duration CONNECT_TIMEOUT = Duration.ofSeconds(10);
    private static final Duration LONGEST_PAUSE = Duration.ofMinutes(2);
    private static final int SHOWN = 300;

    static {
        JSON.getFactory()
                .setStreamReadConstraints(
                        StreamReadConstraints.builder().maxNestingDepth(64).build());
    }

    private final Settings settings;
    private final Pause pause;
    private final Consumer<String> note;
    private final Network network;
    private final HttpClient client;
    private final URI address;
    private String limitName = "max_tokens";
    /** Whether any answer has come yet: a server that cannot be reached at first is not tried again and again. */
    private boolean reached;

    /**
     * Says where and what to ask.
     *
     * @param base the address before {@code /chat/completions}, such as {@code https://api.openai.com/v1}
     * @param model its name there
     * @param key sent as a bearer token; empty for none
     * @param maxTokens of an answer
     */
    public record Settings(URI base, String model, Optional<String> key, int maxTokens) {
        @Override
        public String toString() {
            return model + " at " + base;
        }
    }

    /**
     * Says how the server is reached.
     *
     * @param proxyAuthorization value of a Proxy-Authorization header; empty for none
     * @param answerTimeout longest time that a whole answer takes
     */
    public record Network(ProxySelector proxies, Optional<String> proxyAuthorization, Duration answerTimeout) {
        /** The usual time: a long judgment of a slow model. */
        public static final Duration USUAL_TIMEOUT = Duration.ofMinutes(10);

        @Override
        public String toString() {
            return "Network[" + answerTimeout + "]";
        }
    }

    /**
     * Opens a client.
     *
     * @param note told of each pause
     */
    public ChatEndpoint(Settings settings, Network network, Pause pause, Consumer<String> note) {
        this.settings = settings;
        this.network = network;
        this.pause = pause;
        this.note = note;
        this.address = URI.create(settings.base().toString().replaceFirst("/+$", "") + "/chat/completions");
        this.client = HttpClient.newBuilder()
                .version(HttpClient.Version.HTTP_1_1)
                .followRedirects(HttpClient.Redirect.NEVER)
                .connectTimeout(CONNECT_TIMEOUT)
                .proxy(network.proxies())
                .build();
    }

    @Override
    public String name() {
        return settings.model();
    }

    @Override
    public Reply ask(String system, String user) {
        for (int attempt = 1; ; attempt++) {
            String why;
            Duration wait = Duration.ofSeconds(1L << (attempt - 1));
            try {
                HttpResponse<byte[]> response = send(request(system, user));
                reached = true;
                int status = response.statusCode();
                if (status == 200) {
                    return reply(response.body());
                }
                if (status == 400 && wantsOtherLimit(response.body())) {
                    // Newer models of OpenAI's take the limit under another name.
                    limitName = "max_completion_tokens";
                    continue;
                }
                why = "HTTP " + status + ": " + text(response.body());
                if (!BUSY.contains(status) || attempt == TRIES) {
                    throw new JudgeException(masked(address + ": " + why));
                }
                wait = asked(response).orElse(wait);
            } catch (LimitedBody.TooLongException e) {
                throw new JudgeException(address + ": " + e.getMessage() + "; is it an endpoint in OpenAI's form?");
            } catch (IOException e) {
                why = "no answer (" + Reasons.of(e) + ")";
                if (!reached && hopeless(e)) {
                    throw new JudgeException(masked(address + ": " + why + "; check the address and the network"));
                }
                if (attempt == TRIES) {
                    throw new JudgeException(masked(address + ": " + why + " in " + TRIES + " tries"));
                }
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
                throw new JudgeException(address + ": interrupted", e);
            }
            rest(why, wait);
        }
    }

    /** Sends and waits for the whole answer; Java's own limit of a request's time ends with the headers. */
    private HttpResponse<byte[]> send(HttpRequest request) throws IOException, InterruptedException {
        CompletableFuture<HttpResponse<byte[]>> answer =
                client.sendAsync(request, _ -> new LimitedBody(MAX_ANSWER_BYTES));
        try {
            return answer.get(network.answerTimeout().toMillis(), TimeUnit.MILLISECONDS);
        } catch (TimeoutException e) {
            throw new HttpTimeoutException("no whole answer in time");
        } catch (ExecutionException e) {
            switch (e.getCause()) {
                case IOException failed -> throw failed;
                case null, default -> throw new IOException(Reasons.of(e), e);
            }
        } finally {
            answer.cancel(true);
        }
    }

    /** What another try does not change, as a mistyped address. */
    private static boolean hopeless(IOException e) {
        return Reasons.isUnknownHost(e)
                || e instanceof ConnectException
                || e instanceof HttpConnectTimeoutException
                || e instanceof SSLException;
    }

    private void rest(String why, Duration wait) {
        if (wait.compareTo(LONGEST_PAUSE) > 0) {
            throw new JudgeException(masked(
                    address + ": " + why + "; it asks to wait " + wait.toSeconds() + " s, run with --resume then"));
        }
        note.accept(masked(address + ": " + why + "; next try in " + wait.toSeconds() + " s"));
        try {
            pause.sleep(wait);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new JudgeException(address + ": interrupted", e);
        }
    }

    private static Optional<Duration> asked(HttpResponse<?> response) {
        return response.headers()
                .firstValue("Retry-After")
                .filter(value -> value.matches("\\d{1,6}"))
                .map(value -> Duration.ofSeconds(Long.parseLong(value)));
    }

    private HttpRequest request(String system, String user) throws IOException {
        ObjectNode body = JSON.createObjectNode().put("model", settings.model());
        body.putArray("messages").add(message("system", system)).add(message("user", user));
        body.put("temperature", 0).put(limitName, settings.maxTokens());
        HttpRequest.Builder request = HttpRequest.newBuilder(address)
                .header("Content-Type", "application/json")
                .header("Accept", "application/json")
                .POST(HttpRequest.BodyPublishers.ofByteArray(JSON.writeValueAsBytes(body)));
        settings.key().ifPresent(key -> request.header("Authorization", "Bearer " + key));
        network.proxyAuthorization().ifPresent(value -> request.header("Proxy-Authorization", value));
        return request.build();
    }

    private static ObjectNode message(String role, String content) {
        return JSON.createObjectNode().put("role", role).put("content", content);
    }

    private boolean wantsOtherLimit(byte[] body) {
        return limitName.equals("max_tokens")
                && new String(body, StandardCharsets.UTF_8).contains("max_completion_tokens");
    }

    private Reply reply(byte[] body) {
        JsonNode json;
        try {
            json = JSON.readTree(body);
        } catch (JsonProcessingException e) {
            // Without the parser's failure, which repeats the body as it is.
            throw new JudgeException(masked(address + ": its answer is no JSON: " + text(body)));
        } catch (IOException e) {
            throw new JudgeException(masked(address + ": its answer cannot be read: " + Reasons.of(e)));
        }
        JsonNode content = json.path("choices").path(0).path("message").path("content");
        if (!content.isTextual()) {
            throw new JudgeException(
                    masked(address + ": its answer has no text at choices[0].message.content: " + text(body)));
        }
        JsonNode usage = json.path("usage");
        return new Reply(
                content.textValue(),
                usage.path("prompt_tokens").asLong(0),
                usage.path("completion_tokens").asLong(0));
    }

    /** The beginning of a body on one line. It is masked first: a part of a key is one no more. */
    private String text(byte[] body) {
        String text = masked(new String(body, StandardCharsets.UTF_8))
                .replaceAll("\\s+", " ")
                .replaceAll("\\p{Cntrl}", "?");
        return text.length() > SHOWN ? text.substring(0, SHOWN) + " …" : text;
    }

    private String masked(String message) {
        List<String> secrets = Stream.concat(settings.key().stream(), network.proxyAuthorization().stream())
                .toList();
        String masked = message;
        for (String secret : secrets) {
            masked = masked.replace(secret, "…");
        }
        return masked;
    }

    @Override
    public void close() {
        client.shutdownNow();
        client.close();
    }
}
