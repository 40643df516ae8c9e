package nibble.cli.command;

import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.Callable;
import nibble.checkpoint.Checkpoint;
import nibble.checkpoint.vocabulary.TokenizerDescription;
import nibble.cli.option.ActivationOption;
import nibble.cli.option.InputException;
import nibble.cli.option.ModelArgument;
import nibble.cli.option.ModelChat;
import nibble.cli.option.ModelTokenizer;
import nibble.cli.option.OpenedModel;
import nibble.cli.option.ServiceOptions;
import nibble.cli.option.UsageException;
import nibble.cli.terminal.Interruption;
import nibble.cli.terminal.StopOnSignal;
import nibble.cli.terminal.Terminal;
import nibble.datasets.Tokenizer;
import nibble.datasets.chat.ChatTemplate;
import nibble.datasets.chat.StopIds;
import nibble.engine.Llama;
import nibble.engine.backend.Backend;
import nibble.engine.batch.BatchOptions;
import nibble.engine.batch.GenerationService;
import nibble.engine.batch.ThreadedService;
import nibble.files.FileSize;
import nibble.files.Reasons;
import nibble.serve.generation.ServedModel;
import nibble.serve.http.ApiServer;
import nibble.serve.http.ServerOptions;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

@Command(
        name = "serve",
        description = "Serves a model over HTTP by OpenAI's API, with a chat page at /. Ends by Ctrl-C or SIGTERM, once"
                + " the running texts are finished.",
        mixinStandardHelpOptions = true,
        sortOptions = false)
final class ServeCommand implements Callable<Integer> {
    /** Names the environment variable of the key, which no list of processes shows. */
    private static final String KEY = "NIBBLE_API_KEY";

    private static final long LOOK_MILLIS = 50;

    private final Terminal terminal;

    @Parameters(
            paramLabel = "MODEL",
            description = "A checkpoint, dense or quantized, or a GGUF file. " + ModelArgument.DESCRIPTION)
    @SuppressWarnings("NullAway.Init")
    private ModelArgument source;

    @Option(
            names = "--port",
            paramLabel = "N",
            defaultValue = "" + ServerOptions.DEFAULT_PORT,
            description = "Port to listen at; 0 takes a free one. Default: ${DEFAULT-VALUE}.")
    private int port = ServerOptions.DEFAULT_PORT;

    @Option(
            names = "--host",
            paramLabel = "ADDRESS",
            defaultValue = ServerOptions.LOOPBACK,
            description =
                    "Address to listen at, such as 0.0.0.0 for all. Default: ${DEFAULT-VALUE}, this machine alone.")
    private String host = ServerOptions.LOOPBACK;

    @Option(
            names = "--api-key",
            paramLabel = "KEY",
            description = "Key that clients must send. Default: the environment variable " + KEY
                    + ", which no list of processes shows; without it no key is needed.")
    private @Nullable String apiKey;

    @Option(
            names = "--served-model-name",
            paramLabel = "NAME",
            description = "Name that clients ask for; may be repeated. Default: the folder's or file's name.")
    private List<String> names = new ArrayList<>();

    @Option(
            names = "--chat-template",
            paramLabel = "NAME|FILE",
            description = "Format of conversations: a built-in one, such as chatml, or a file with a Jinja template."
                    + " Default: the model's own.")
    private @Nullable String template;

    @Option(
            names = "--allowed-origin",
            paramLabel = "ORIGIN",
            description = "Web origin whose scripts may call, such as https://example.org, or * for all; may be"
                    + " repeated. Default: the server's own page.")
    private Set<String> origins = new LinkedHashSet<>();

    @Option(
            names = "--max-body",
            paramLabel = "SIZE",
            defaultValue = "8MB",
            description = "Largest body of a request. Default: ${DEFAULT-VALUE}.")
    private String maxBody = "8MB";

    @Option(
            names = "--max-connections",
            paramLabel = "N",
            defaultValue = "1000",
            description = "Most clients that are connected at once. Default: ${DEFAULT-VALUE}.")
    private int maxConnections = 1000;

    @Option(
            names = "--request-timeout",
            paramLabel = "SECONDS",
            defaultValue = "30",
            description = "Longest time for a client to send a request. Default: ${DEFAULT-VALUE}.")
    private int requestTimeout = 30;

    @Option(
            names = "--drain-timeout",
            paramLabel = "SECONDS",
            defaultValue = "60",
            description = "Longest time to finish running texts after SIGTERM. Default: ${DEFAULT-VALUE}.")
    private int drainTimeout = 60;

    @Mixin
    private ServiceOptions service = new ServiceOptions();

    @Mixin
    private ActivationOption device = new ActivationOption();

    ServeCommand(Terminal terminal) {
        this.terminal = terminal;
    }

    @Override
    public Integer call() {
        source.require();
        ServerOptions options = options();
        service.check();
        Path model = source.folder(terminal);
        try (Checkpoint checkpoint = OpenedModel.open(terminal, model)) {
            return serve(model, checkpoint, options);
        }
    }

    private ServerOptions options() {
        atLeast(requestTimeout, 1, "--request-timeout");
        atLeast(drainTimeout, 0, "--drain-timeout");
        atLeast(maxConnections, 1, "--max-connections");
        if (port < 0 || port > 65_535) {
            throw new UsageException("--port " + port + ": 0 to 65535");
        }
        long body;
        try {
            body = FileSize.parse(maxBody);
        } catch (IllegalArgumentException e) {
            throw new UsageException("--max-body " + maxBody + ": " + e.getMessage());
        }
        if (body < 1 || body > Integer.MAX_VALUE / 2) {
            throw new UsageException("--max-body " + maxBody + ": 1 byte to 1 GB");
        }
        Optional<String> key = Optional.ofNullable(apiKey)
                .or(() -> Optional.ofNullable(terminal.environment().get(KEY)));
        try {
            return new ServerOptions(
                    host, port, key, origins, (int) body, Duration.ofSeconds(requestTimeout), maxConnections);
        } catch (IllegalArgumentException e) {
            throw new UsageException((apiKey == null ? KEY : "--api-key") + ": " + e.getMessage());
        }
    }

    private static void atLeast(int value, int least, String option) {
        if (value < least) {
            throw new UsageException(option + " " + value + ": at least " + least);
        }
    }

    private int serve(Path model, Checkpoint checkpoint, ServerOptions options) {
        Optional<ChatTemplate> chat = ModelChat.served(model, template);
        TokenizerDescription described = ModelTokenizer.describe(model);
        try (Backend backend = device.openForGenerating(terminal);
                Tokenizer tokenizer = ModelTokenizer.open(described);
                Llama llama = Llama.load(checkpoint, backend)) {
            BatchOptions batch = service.batch(llama.weights().config(), llama.backend(), llama.contextTokens());
            try (GenerationService generation = new ThreadedService(llama, batch)) {
                ServedModel served = new ServedModel(
                        names.isEmpty() ? List.of(source.defaultName()) : names,
                        source.text(),
                        tokenizer,
                        described,
                        chat,
                        StopIds.of(checkpoint, described, tokenizer, chat),
                        llama.vocabularySize(),
                        service.context(generation.contextTokens()),
                        generation);
                return run(served, options);
            }
        }
    }

    private int run(ServedModel served, ServerOptions options) {
        try (StopOnSignal stop = new StopOnSignal(terminal);
                ApiServer server = ApiServer.start(served, options, terminal::note)) {
            announce(served, options, server);
            while (!stop.signal().raised()) {
                Thread.sleep(LOOK_MILLIS);
            }
            if (!server.drain(Duration.ofSeconds(drainTimeout))) {
                terminal.note("running texts did not end within " + drainTimeout + " s and are cut off");
            }
            return Interruption.exitCode();
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            return Interruption.exitCode();
        } catch (IOException e) {
            throw new InputException("cannot listen at " + host + ", port " + port + ": " + Reasons.of(e)
                    + "; give another --port or --host");
        }
    }

    private void announce(ServedModel served, ServerOptions options, ApiServer server) {
        if (!options.loopback() && options.apiKey().isEmpty()) {
            terminal.note("warning: whoever reaches " + host
                    + " may use this server, since there is no key; give --api-key or " + KEY);
        }
        terminal.note("serving " + String.join(", ", served.names()) + ": " + served.contextTokens()
                + " tokens of context, " + service.maxSequences() + " texts at once"
                + (served.template().isEmpty() ? ", no chat template (--chat-template gives one)" : ""));
        terminal.out().println(server.address());
        terminal.out().flush();
    }
}
