package nibble.cli.command;

import java.nio.file.Path;
import java.util.List;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.Callable;
import java.util.function.IntPredicate;
import nibble.checkpoint.Checkpoint;
import nibble.cli.option.CacheOption;
import nibble.cli.option.ChatOptions;
import nibble.cli.option.ModelArgument;
import nibble.cli.option.ModelDevice;
import nibble.cli.option.ModelWords;
import nibble.cli.option.OpenedModel;
import nibble.cli.option.UsageException;
import nibble.cli.prompts.PromptLine;
import nibble.cli.prompts.PromptRun;
import nibble.cli.prompts.PromptsOptions;
import nibble.cli.terminal.ExitCode;
import nibble.cli.terminal.Figures;
import nibble.cli.terminal.ProcessMemory;
import nibble.cli.terminal.Terminal;
import nibble.cli.terminal.TokenizedText;
import nibble.datasets.TextStream;
import nibble.datasets.Tokenizer;
import nibble.datasets.chat.ChatMessage;
import nibble.datasets.chat.ChatTemplate;
import nibble.datasets.chat.SpecialTokens;
import nibble.engine.Generator;
import nibble.engine.Llama;
import nibble.engine.NonFiniteLogitException;
import nibble.engine.SamplingOptions;
import nibble.engine.attention.CacheType;
import nibble.engine.backend.Backend;
import nibble.engine.backend.MissingRowException;
import nibble.engine.batch.BatchScheduler;
import nibble.engine.batch.SingleText;
import nibble.pack.WeightReader;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

@Command(
        name = "generate",
        description = "Continues a text, answers a prompt in a chat format, or holds a conversation. Streams the text.",
        mixinStandardHelpOptions = true,
        sortOptions = false)
final class GenerateCommand implements Callable<Integer> {
    private final Terminal terminal;

    @Parameters(
            paramLabel = "MODEL",
            description = "A checkpoint, dense or quantized, or a GGUF file. " + ModelArgument.DESCRIPTION)
    @SuppressWarnings("NullAway.Init")
    private ModelArgument source;

    @Option(
            names = "--prompt",
            paramLabel = "TEXT",
            description = "The text to continue; with a template, the text to answer.")
    private @Nullable String prompt;

    @Option(
            names = "--max-new-tokens",
            paramLabel = "N",
            defaultValue = "128",
            description = "Largest number of tokens to generate. Default: ${DEFAULT-VALUE}.")
    private int maxNewTokens = 128;

    @Option(
            names = "--temperature",
            paramLabel = "T",
            defaultValue = "0",
            description = "0 takes the most probable token; above 0, tokens are sampled. Default: ${DEFAULT-VALUE}.")
    private double temperature;

    @Option(
            names = "--top-p",
            paramLabel = "P",
            defaultValue = "1",
            description = "Sample from the smallest set of tokens with probability P. Default: ${DEFAULT-VALUE}, all.")
    private double topP = 1;

    @Option(
            names = "--top-k",
            paramLabel = "K",
            defaultValue = "0",
            description = "Sample from the K most probable tokens. Default: ${DEFAULT-VALUE}, all.")
    private int topK;

    @Option(
            names = "--repetition-penalty",
            paramLabel = "R",
            defaultValue = "1",
            description = "A value above 1 makes tokens already seen less probable. Default: ${DEFAULT-VALUE}.")
    private double repetitionPenalty = 1;

    @Option(
            names = "--seed",
            paramLabel = "N",
            defaultValue = "0",
            description = "Same seed, same text. Default: ${DEFAULT-VALUE}.")
    private long seed;

    @Option(names = "--show-prompt", description = "Print the model's input first, as 'nibble tokenize' does.")
    private boolean showPrompt;

    @Mixin
    private PromptsOptions prompts = new PromptsOptions();

    @Mixin
    private CacheOption cache = new CacheOption();

    @Mixin
    private ChatOptions chat = new ChatOptions();

    @Mixin
    private ModelDevice device = new ModelDevice();

    GenerateCommand(Terminal terminal) {
        this.terminal = terminal;
    }

    @Override
    public Integer call() {
        source.require();
        SamplingOptions options;
        try {
            options = new SamplingOptions(temperature, topP, topK, repetitionPenalty, seed);
        } catch (IllegalArgumentException e) {
            throw new UsageException(e.getMessage());
        }
        if (maxNewTokens < 1) {
            throw new UsageException("--max-new-tokens " + maxNewTokens + ": at least 1");
        }
        if ((chat.chat ? 1 : 0) + (prompt != null ? 1 : 0) + (prompts.given() ? 1 : 0) != 1) {
            throw new UsageException("give one of --prompt TEXT, --prompts FILE and --chat");
        }
        cache.type();
        List<PromptLine> lines = prompts.lines(options, maxNewTokens);
        Path model = source.folder(terminal);
        try (Checkpoint checkpoint = OpenedModel.open(terminal, model)) {
            speak(model, checkpoint, options, lines);
        }
        return ExitCode.DONE;
    }

    private void speak(Path model, Checkpoint checkpoint, SamplingOptions options, List<PromptLine> lines) {
        Optional<ChatTemplate> template = chat.template(model);
        try (ModelWords words = ModelWords.open(checkpoint, template, showPrompt);
                Backend backend = device.openForGenerating(terminal);
                Llama llama = Llama.load(checkpoint, backend)) {
            List<String> stops = template.map(ChatTemplate::stops).orElse(List.of());
            ProcessMemory.releaseAfterLoading();
            if (prompts.given()) {
                PromptRun run = new PromptRun(
                        llama, words.tokenizer(), words.stopIds(), stops, prompts.sequences(), cache.type());
                try {
                    prompts.answer(
                            terminal, run, lines, line -> ids(line, words.tokenizer(), template, words.special()));
                } catch (NonFiniteLogitException e) {
                    WeightReader.requireFinite(checkpoint);
                    throw e;
                }
                return;
            }
            CacheOption.require(cache.type(), llama);
            Speaker speaker = new Speaker(checkpoint, llama, words.tokenizer(), options, words.stopIds(), stops);
            if (chat.chat) {
                new Conversation(terminal, chat, turns -> speaker.say(ids(words, template, turns))).hold();
            } else if (template.isPresent()) {
                List<ChatMessage> turns = chat.beginning();
                turns.add(ChatMessage.user(Objects.requireNonNull(prompt)));
                speaker.say(ids(words, template, turns));
            } else {
                String text = Objects.requireNonNull(prompt);
                speaker.say(shown(words, text, words.tokenizer().encode(text, true)));
            }
        }
    }

    private int[] ids(PromptLine line, Tokenizer tokenizer, Optional<ChatTemplate> template, SpecialTokens tokens) {
        if (line.json().has("messages")) {
            ChatTemplate format =
                    template.orElseThrow(() -> new UsageException(line.where() + ": \"messages\" need --template"));
            return tokenizer.encode(format.render(chat.request(line.json(), line.where()), tokens), false);
        }
        String text = line.json().get("prompt").asText();
        if (template.isEmpty()) {
            return tokenizer.encode(text, true);
        }
        List<ChatMessage> turns = chat.beginning();
        turns.add(ChatMessage.user(text));
        return tokenizer.encode(template.get().render(chat.request(turns), tokens), false);
    }

    /** A template's text holds its special tokens, BOS included. */
    private int[] ids(ModelWords words, Optional<ChatTemplate> template, List<ChatMessage> turns) {
        String text = template.orElseThrow().render(chat.request(turns), words.special());
        return shown(words, text, words.tokenizer().encode(text, false));
    }

    private int[] shown(ModelWords words, String text, int[] ids) {
        if (showPrompt) {
            terminal.out().println(TokenizedText.of(text, ids, words.texts()).shown());
            terminal.out().flush();
        }
        return ids;
    }

    /** Lets a model continue ids, and says how fast it was. */
    private final class Speaker {
        private final Checkpoint checkpoint;
        private final Llama llama;
        private final Tokenizer tokenizer;
        private final SamplingOptions options;
        private final Set<Integer> stopIds;
        private final List<String> stops;

        Speaker(
                Checkpoint checkpoint,
                Llama llama,
                Tokenizer tokenizer,
                SamplingOptions options,
                Set<Integer> stopIds,
                List<String> stops) {
            this.checkpoint = checkpoint;
            this.llama = llama;
            this.tokenizer = tokenizer;
            this.options = options;
            this.stopIds = stopIds;
            this.stops = stops;
        }

        String say(int[] ids) {
            if (ids.length == 0) {
                throw new UsageException(
                        "--prompt is empty, and this model's tokenizer has no token to begin a text with");
            }
            try {
                MissingRowException.check(ids, ids.length, llama.vocabularySize());
            } catch (MissingRowException e) {
                throw new UsageException((chat.chat ? "the conversation: " : "--prompt: ") + e.getMessage());
            }
            int context = cache.type() == CacheType.AUTO ? llama.contextTokens() : BatchScheduler.contextTokens(llama);
            if (ids.length >= context) {
                throw new UsageException((chat.chat ? "the conversation" : "--prompt") + " has " + ids.length
                        + " tokens, and the model's context of " + context
                        + " must hold them and the answer; give a shorter one");
            }
            TextStream text = new TextStream(tokenizer, stops, ids, this::print);
            long start = System.nanoTime();
            try {
                // Nobody will read what comes after a lost output.
                IntPredicate goesOn =
                        id -> text.add(id) && terminal.lostOutput().isEmpty();
                if (cache.type() == CacheType.AUTO) {
                    Generator.generateWhile(llama, ids, options, maxNewTokens, stopIds, goesOn);
                } else {
                    SingleText.generateWhile(llama, cache.type(), ids, options, maxNewTokens, stopIds, goesOn);
                }
            } catch (NonFiniteLogitException e) {
                WeightReader.requireFinite(checkpoint);
                throw e;
            }
            text.end();
            print(System.lineSeparator());
            double seconds = (System.nanoTime() - start) / 1e9;
            terminal.note(text.tokens() + " tokens in " + Figures.duration(seconds) + ", "
                    + Figures.decimals(text.tokens() / seconds, 1) + " tokens/s");
            return text.text();
        }

        private void print(String text) {
            terminal.out().print(text);
            terminal.out().flush();
        }
    }
}
