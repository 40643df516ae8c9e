package nibble.cli.command;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import nibble.checkpoint.source.BadCheckpointException;
import nibble.checkpoint.vocabulary.TokenizerDescription;
import nibble.cli.option.ConversationJson;
import nibble.cli.option.InputFile;
import nibble.cli.option.JsonOption;
import nibble.cli.option.ModelArgument;
import nibble.cli.option.ModelChat;
import nibble.cli.option.ModelTokenizer;
import nibble.cli.option.UsageException;
import nibble.cli.terminal.ExitCode;
import nibble.cli.terminal.Terminal;
import nibble.cli.terminal.TokenizedText;
import nibble.datasets.BadDatasetException;
import nibble.datasets.Tokenizer;
import nibble.datasets.chat.ChatRequest;
import nibble.datasets.chat.ChatTemplate;
import nibble.datasets.chat.SpecialTokens;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

@Command(
        name = "tokenize",
        description =
                "Prints the input that a model receives: a text, or a conversation in the model's format, with its ids"
                        + " and pieces.",
        mixinStandardHelpOptions = true,
        sortOptions = false)
final class TokenizeCommand implements Callable<Integer> {
    private static final ObjectMapper JSON = new ObjectMapper();

    private final Terminal terminal;

    @Parameters(
            paramLabel = "MODEL",
            description = "A checkpoint or its tokenizer alone, or a GGUF file. " + ModelArgument.DESCRIPTION)
    @SuppressWarnings("NullAway.Init")
    private ModelArgument source;

    @Option(names = "--prompt", paramLabel = "TEXT", description = "A text; with --template, the user's message.")
    private @Nullable String prompt;

    @Option(
            names = "--messages",
            paramLabel = "FILE",
            description = "A conversation in OpenAI's form: a JSON list of messages, or an object with \"messages\".")
    private @Nullable Path messages;

    @Option(
            names = "--jsonl",
            paramLabel = "FILE",
            description =
                    "Many inputs: each line is an object with \"prompt\", or with \"messages\" and further values for"
                            + " the template. Writes one object a line.")
    private @Nullable Path lines;

    @Option(
            names = "--tools",
            paramLabel = "FILE",
            description = "Functions that the model may call: a JSON list in OpenAI's form.")
    private @Nullable Path tools;

    @Option(
            names = "--template",
            paramLabel = "NAME",
            description = "Prompt format: model (the checkpoint's chat template), another template of the checkpoint"
                    + " (tool_use, rag), orca-hashes, llama-2-chat, chatml, alpaca or vicuna. Default for"
                    + " messages: model.")
    private @Nullable String template;

    @Option(
            names = "--set",
            paramLabel = "NAME=VALUE",
            description = "A value for the template, such as enable_thinking=false: parsed as JSON if it is valid JSON,"
                    + " otherwise text. May be repeated.")
    private Map<String, String> set = new LinkedHashMap<>();

    @Mixin
    private JsonOption json = new JsonOption();

    TokenizeCommand(Terminal terminal) {
        this.terminal = terminal;
    }

    @Override
    public Integer call() {
        source.require();
        InputFile.require("--messages", messages);
        InputFile.require("--jsonl", lines);
        InputFile.require("--tools", tools);
        if (Stream.of(prompt != null, messages != null, lines != null)
                        .filter(given -> given)
                        .count()
                != 1) {
            throw new UsageException("give one of --prompt TEXT, --messages FILE and --jsonl FILE");
        }
        if (prompt != null && template == null && (tools != null || !set.isEmpty())) {
            throw new UsageException(
                    "--tools and --set are for a template; give --messages, or --template with --prompt");
        }
        json.requireWritable();
        JsonNode conversation = messages == null ? null : ConversationJson.read(messages);
        JsonNode functions = tools == null ? null : ConversationJson.read(tools);
        String many = lines == null ? null : ConversationJson.text(lines);
        Path model = source.folder(terminal);
        TokenizerDescription described = ModelTokenizer.describe(model);
        try (Tokenizer tokenizer = ModelTokenizer.open(described)) {
            Work work = new Work(model, described, tokenizer, described.texts(), functions);
            if (many != null) {
                return work.all(many);
            }
            JsonNode one = conversation != null
                    ? conversation
                    : JSON.createObjectNode().put("prompt", prompt);
            TokenizedText tokenized = work.tokenized(one, messages == null ? "--prompt" : messages.toString());
            json.write(terminal, tokenized);
            if (!json.toStandardOutput()) {
                terminal.out().print(tokenized.shown());
                terminal.out().flush();
                terminal.note(tokenized.ids().size() + " tokens");
            }
        }
        return ExitCode.DONE;
    }

    /** One model's tokenizer and templates, for one text or many. */
    private final class Work {
        private final Path model;
        private final Tokenizer tokenizer;
        private final List<Integer> trailing;
        private final Map<Integer, String> vocabulary;
        private final @Nullable JsonNode functions;
        private final SpecialTokens tokens;
        private final Map<String, ChatTemplate> templates = new LinkedHashMap<>();
        private final Map<String, @Nullable Object> values = new LinkedHashMap<>();

        Work(
                Path model,
                TokenizerDescription described,
                Tokenizer tokenizer,
                Map<Integer, String> vocabulary,
                @Nullable JsonNode functions) {
            this.model = model;
            this.tokenizer = tokenizer;
            this.trailing = described.trailingIds();
            this.vocabulary = vocabulary;
            this.functions = functions;
            this.tokens = ModelChat.tokens(described);
            set.forEach((name, value) -> values.put(name, ConversationJson.value(value)));
        }

        private ChatTemplate format(@Nullable String name, boolean withTools) {
            return templates.computeIfAbsent(name + "/" + withTools, key -> ModelChat.format(model, name, withTools));
        }

        /** What the tokenizer makes of a text: with what it puts in front and behind, as transformers does. */
        private int[] complete(String text) {
            int[] ids = tokenizer.encode(text, true);
            return IntStream.concat(Arrays.stream(ids), trailing.stream().mapToInt(Integer::intValue))
                    .toArray();
        }

        /** A prompt, or a conversation of {@link ConversationJson#request}'s forms. */
        TokenizedText tokenized(JsonNode one, String where) {
            String name =
                    one.path("template").isTextual() ? one.path("template").asText() : template;
            JsonNode text = one.path("prompt");
            if (text.isTextual() && name == null) {
                return TokenizedText.of(text.asText(), complete(text.asText()), vocabulary);
            }
            JsonNode conversation = one;
            if (text.isTextual()) {
                conversation = one.deepCopy();
                ((ObjectNode) conversation)
                        .putArray("messages")
                        .addObject()
                        .put("role", "user")
                        .put("content", text.asText());
            }
            ChatRequest request = ConversationJson.request(conversation, functions, values, where);
            boolean withTools = request.tools() != null;
            String rendered = format(name, withTools).render(request, tokens);
            // The text holds its special tokens.
            return TokenizedText.of(rendered, tokenizer.encode(rendered, false), vocabulary);
        }

        /** Each line by itself: one that cannot be rendered says so in its place, and the rest go on. */
        int all(String many) {
            StringBuilder out = new StringBuilder();
            int failed = 0;
            int number = 0;
            int done = 0;
            for (String line : many.split("\n", -1)) {
                number++;
                if (line.isBlank()) {
                    continue;
                }
                done++;
                String where = lines + ": line " + number;
                Object result;
                try {
                    result = tokenized(ConversationJson.parse(line, where), where);
                } catch (BadDatasetException | BadCheckpointException e) {
                    failed++;
                    result = Map.of("error", String.valueOf(e.getMessage()));
                }
                try {
                    out.append(JSON.writeValueAsString(result)).append('\n');
                } catch (JsonProcessingException e) {
                    throw new IllegalStateException("a tokenized text is JSON", e);
                }
                if (json.file == null || json.toStandardOutput()) {
                    terminal.out().print(out);
                    out.setLength(0);
                }
            }
            terminal.out().flush();
            if (json.file != null && !json.toStandardOutput()) {
                json.writeText(terminal, out.toString().stripTrailing());
            }
            terminal.note(done + " lines" + (failed == 0 ? "" : ", of which " + failed + " could not be rendered"));
            return failed == 0 ? ExitCode.DONE : ExitCode.BAD_INPUT;
        }
    }
}
