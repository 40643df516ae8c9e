package nibble.serve.http;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.function.Function;
import java.util.function.UnaryOperator;
import nibble.checkpoint.Checkpoint;
import nibble.checkpoint.vocabulary.TokenizerDescription;
import nibble.datasets.Tokenizer;
import nibble.datasets.Tokenizers;
import nibble.datasets.chat.ChatTemplate;
import nibble.datasets.chat.StopIds;
import nibble.engine.Backends;
import nibble.engine.Llama;
import nibble.engine.backend.Backend;
import nibble.engine.batch.GenerationService;
import nibble.serve.generation.ServedModel;
import org.jspecify.annotations.Nullable;

/** The bundled model behind a started server with a context of 256, called wiki and wiki-alias. */
final class TestServer implements AutoCloseable {
    static final ObjectMapper JSON = new ObjectMapper();
    static final int CONTEXT = 256;

    private final Checkpoint checkpoint;
    private final Backend backend;
    private final Llama llama;
    final Tokenizer tokenizer;
    final GenerationService generation;
    final ServedModel model;
    final ApiServer server;
    final HttpClient client = HttpClient.newBuilder()
            .version(HttpClient.Version.HTTP_1_1)
            .connectTimeout(Duration.ofMinutes(1))
            .build();
    /** What the server logged: lines of requests that failed by a defect. */
    final List<String> log = new CopyOnWriteArrayList<>();

    TestServer() {
        this(options -> options, Optional.of(ChatTemplate.named("orca-hashes")), 64);
    }

    /** Starts a server that generates one text after another. */
    TestServer(UnaryOperator<ServerOptions> options, Optional<ChatTemplate> template, int waiting) {
        this(options, template, llama -> new OneByOneService(llama, CONTEXT, waiting));
    }

    TestServer(
            UnaryOperator<ServerOptions> options,
            Optional<ChatTemplate> template,
            Function<Llama, GenerationService> service) {
        Path folder = Path.of(System.getProperty("nibble.root"), "models", "wiki-7m");
        checkpoint = Checkpoint.open(folder);
        backend = Backends.open("cpu", 2, Long.MAX_VALUE);
        llama = Llama.load(checkpoint, backend);
        TokenizerDescription described = Checkpoint.tokenizer(folder).orElseThrow();
        tokenizer = Tokenizers.of(described);
        generation = service.apply(llama);
        model = new ServedModel(
                List.of("wiki", "wiki-alias"),
                folder.toString(),
                tokenizer,
                described,
                template,
                StopIds.of(checkpoint, described, tokenizer, template),
                llama.vocabularySize(),
                CONTEXT,
                generation);
        try {
            server = ApiServer.start(model, options.apply(ServerOptions.local(0)), log::add);
        } catch (IOException e) {
            throw new IllegalStateException(e);
        }
    }

    /** Returns options with a key, a small bound of bodies and the time that clients get to send a request. */
    static ServerOptions strict(ServerOptions options, Duration patience) {
        return new ServerOptions(
                options.host(),
                0,
                Optional.of("secret"),
                Set.of("http://friend.example"),
                1 << 16,
                patience,
                options.maxConnections());
    }

    /** Returns the service that generates one text after another. */
    OneByOneService slow() {
        return (OneByOneService) generation;
    }

    URI uri(String path) {
        return server.address().resolve(path);
    }

    HttpResponse<String> post(String path, String body, String... headers) throws IOException, InterruptedException {
        HttpRequest.Builder request = HttpRequest.newBuilder(uri(path))
                .timeout(Duration.ofMinutes(5))
                .header("Content-Type", "application/json")
                .POST(HttpRequest.BodyPublishers.ofString(body));
        for (int i = 0; i < headers.length; i += 2) {
            request.header(headers[i], headers[i + 1]);
        }
        return client.send(request.build(), HttpResponse.BodyHandlers.ofString());
    }

    HttpResponse<String> get(String path, String... headers) throws IOException, InterruptedException {
        HttpRequest.Builder request = HttpRequest.newBuilder(uri(path)).timeout(Duration.ofMinutes(5));
        for (int i = 0; i < headers.length; i += 2) {
            request.header(headers[i], headers[i + 1]);
        }
        return client.send(request.build(), HttpResponse.BodyHandlers.ofString());
    }

    /** Posts a JSON object written with single quotes, and returns the answer, which must be 200. */
    JsonNode answer(String path, String body) throws IOException, InterruptedException {
        HttpResponse<String> response = post(path, body.replace('\'', '"'));
        if (response.statusCode() != 200) {
            throw new AssertionError(response.statusCode() + " " + response.body());
        }
        return JSON.readTree(response.body());
    }

    /** Posts what must be refused, and returns the error, with the status as {@code status}. */
    JsonNode refusal(String path, String body) throws IOException, InterruptedException {
        HttpResponse<String> response = post(path, body.replace('\'', '"'));
        JsonNode error = JSON.readTree(response.body()).get("error");
        ((com.fasterxml.jackson.databind.node.ObjectNode) error).put("status", response.statusCode());
        return error;
    }

    /** Posts a request for a stream, and returns its pieces; the last event must be the end. */
    List<JsonNode> pieces(String path, String body) throws IOException, InterruptedException {
        HttpResponse<String> response = post(path, body.replace('\'', '"'));
        if (response.statusCode() != 200 || !response.body().endsWith("data: [DONE]\n\n")) {
            throw new AssertionError(response.statusCode() + " " + response.body());
        }
        List<JsonNode> pieces = new ArrayList<>();
        for (String event : response.body().split("\n\n")) {
            if (!event.equals("data: [DONE]")) {
                pieces.add(JSON.readTree(event.substring("data: ".length())));
            }
        }
        return pieces;
    }

    static @Nullable String text(JsonNode node) {
        return node.isNull() ? null : node.asText();
    }

    @Override
    public void close() {
        server.close();
        generation.close();
        llama.close();
        tokenizer.close();
        backend.close();
        checkpoint.close();
    }
}
