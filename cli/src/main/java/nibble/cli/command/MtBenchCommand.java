package nibble.cli.command;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.Callable;
import nibble.checkpoint.Checkpoint;
import nibble.checkpoint.vocabulary.TokenizerDescription;
import nibble.cli.option.CacheOption;
import nibble.cli.option.InputFile;
import nibble.cli.option.ModelArgument;
import nibble.cli.option.ModelChat;
import nibble.cli.option.ModelDevice;
import nibble.cli.option.ModelTokenizer;
import nibble.cli.option.OpenedModel;
import nibble.cli.option.OutputFile;
import nibble.cli.option.UsageException;
import nibble.cli.terminal.ExitCode;
import nibble.cli.terminal.Progress;
import nibble.cli.terminal.Terminal;
import nibble.datasets.Tokenizer;
import nibble.datasets.chat.ChatTemplate;
import nibble.datasets.chat.StopIds;
import nibble.datasets.mtbench.MtBenchQuestion;
import nibble.datasets.mtbench.MtBenchQuestions;
import nibble.engine.Llama;
import nibble.engine.NonFiniteLogitException;
import nibble.engine.attention.CacheType;
import nibble.engine.backend.Backend;
import nibble.engine.backend.MissingRowException;
import nibble.engine.batch.BatchWriter;
import nibble.eval.mtbench.ChatModel;
import nibble.eval.mtbench.MtBench;
import nibble.eval.mtbench.MtBenchAnswer;
import nibble.eval.mtbench.MtBenchAnswerFile;
import nibble.eval.mtbench.MtBenchBatch;
import nibble.eval.mtbench.MtBenchSettings;
import nibble.eval.mtbench.PromptTooLongException;
import nibble.pack.WeightReader;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

@Command(
        name = "mt-bench",
        description = "Writes a chat model's answers to MT-bench's 80 two-turn questions, in the layout of FastChat's"
                + " model_answer files. 'eval mt-bench judge' has them graded.",
        mixinStandardHelpOptions = true,
        subcommands = JudgeCommand.class,
        sortOptions = false)
final class MtBenchCommand implements Callable<Integer> {
    private final Terminal terminal;

    // Not required as the parser sees it, so that the subcommand need not give what is this command's.
    @Parameters(
            paramLabel = "MODEL",
            arity = "0..1",
            description = "A checkpoint, dense or quantized, or a GGUF file. " + ModelArgument.DESCRIPTION)
    private @Nullable ModelArgument source;

    @Option(names = "--output", paramLabel = "FILE", description = "The JSONL file to write, such as MODEL.jsonl.")
    private @Nullable Path output;

    @Option(
            names = "--resume",
            description = "Resume the file of an interrupted run: ask only the questions that have no answer yet.")
    private boolean resume;

    @Option(
            names = "--template",
            paramLabel = "NAME",
            description =
                    "The model's prompt format: orca-hashes, llama-2-chat, chatml, alpaca, vicuna, or model for the"
                            + " checkpoint's own chat_template. Default: model.")
    private @Nullable String template;

    @Option(names = "--system", paramLabel = "TEXT", description = "System prompt for each question. Default: none.")
    private String system = "";

    @Option(
            names = "--model-id",
            paramLabel = "NAME",
            description = "The model's name in the file. Default: the last part of MODEL.")
    private @Nullable String modelId;

    @Option(
            names = "--questions",
            paramLabel = "FILE",
            description = "Questions in FastChat's layout. Default: MT-bench's, which are bundled.")
    private @Nullable Path questions;

    @Option(names = "--limit", paramLabel = "N", description = "Ask only the first N questions.")
    private @Nullable Integer limit;

    @Option(
            names = "--choices",
            paramLabel = "N",
            defaultValue = "1",
            description = "Answers to each question. Default: ${DEFAULT-VALUE}.")
    private int choices = 1;

    @Option(
            names = "--max-new-tokens",
            paramLabel = "N",
            defaultValue = "1024",
            description = "Largest number of tokens in a turn. Default: ${DEFAULT-VALUE}.")
    private int maxNewTokens = 1024;

    @Option(
            names = "--top-p",
            paramLabel = "P",
            defaultValue = "1",
            description = "For categories with a temperature above 0: sample from the smallest set of tokens with"
                    + " probability P. Default: ${DEFAULT-VALUE}, all.")
    private double topP = 1;

    @Option(
            names = "--top-k",
            paramLabel = "K",
            defaultValue = "50",
            description = "The same with the K most probable tokens; 0 for all. Default: ${DEFAULT-VALUE}, as in"
                    + " transformers.")
    private int topK = 50;

    @Option(
            names = "--seed",
            paramLabel = "N",
            defaultValue = "0",
            description = "Same seed, same answers. Default: ${DEFAULT-VALUE}.")
    private long seed;

    @Mixin
    private CacheOption cache = new CacheOption();

    @Mixin
    private ModelDevice device = new ModelDevice();

    MtBenchCommand(Terminal terminal) {
        this.terminal = terminal;
    }

    @Override
    public Integer call() {
        if (source == null || output == null) {
            throw new UsageException("MODEL and --output FILE are needed; see 'nibble eval mt-bench --help'");
        }
        source.require();
        InputFile.require("--questions", questions);
        checkOptions();
        cache.type();
        requireOutput(output, resume);
        List<MtBenchQuestion> asked = questions == null ? MtBenchQuestions.bundled() : MtBenchQuestions.file(questions);
        asked = limit == null ? asked : asked.subList(0, Math.min(limit, asked.size()));
        Path model = source.folder(terminal);
        try (Checkpoint checkpoint = OpenedModel.open(terminal, model)) {
            answer(model, checkpoint, asked, output);
        }
        return ExitCode.DONE;
    }

    private void answer(Path model, Checkpoint checkpoint, List<MtBenchQuestion> asked, Path output) {
        ChatTemplate format = ModelChat.format(model, template, false);
        String name = modelId != null
                ? modelId
                : model.toAbsolutePath().normalize().getFileName().toString();
        MtBenchSettings settings = new MtBenchSettings(
                format.name(),
                system,
                maxNewTokens,
                topP,
                topK,
                seed,
                choices,
                cache.type().label());
        TokenizerDescription described = ModelTokenizer.describe(model);
        // A file that is not this run's is refused before the model is loaded.
        try (MtBenchAnswerFile answers = MtBenchAnswerFile.open(output, name, settings);
                Backend backend = device.openForAnswers(terminal);
                Tokenizer tokenizer = ModelTokenizer.open(described);
                Llama llama = Llama.load(checkpoint, backend)) {
            CacheOption.require(cache.type(), llama);
            ChatModel chat = new ChatModel(
                    llama,
                    tokenizer,
                    format,
                    ModelChat.tokens(described),
                    StopIds.of(checkpoint, described, tokenizer, Optional.of(format)));
            try {
                ask(chat, asked, settings, answers);
                answers.finish(asked.stream().map(MtBenchQuestion::id).toList());
            } catch (NonFiniteLogitException e) {
                WeightReader.requireFinite(checkpoint);
                throw e;
            }
        }
        terminal.out().println(output + ": answers of " + name + " to " + asked.size() + " questions");
        terminal.out().flush();
    }

    private void checkOptions() {
        if (maxNewTokens < 1 || choices < 1 || topK < 0 || !(topP > 0 && topP <= 1) || limit != null && limit < 1) {
            throw new UsageException(
                    "--max-new-tokens, --choices and --limit must be at least 1, --top-k at least 0, --top-p above 0"
                            + " and at most 1");
        }
    }

    /** Checks the file to write: whether it may be there, and whether it can be written. */
    static void requireOutput(Path output, boolean resume) {
        if (Files.exists(output) && !resume) {
            throw new UsageException("--output " + output + ": exists; --resume resumes it");
        }
        OutputFile.require("--output", output);
        if (Files.exists(output) && (!Files.isRegularFile(output) || !Files.isWritable(output))) {
            throw new UsageException("--output " + output + ": --resume cannot write it; give a file that it can");
        }
    }

    private void ask(ChatModel chat, List<MtBenchQuestion> asked, MtBenchSettings settings, MtBenchAnswerFile answers) {
        try (Progress progress = new Progress(terminal, "MT-bench")) {
            if (cache.type() != CacheType.AUTO || BatchWriter.gains(chat.model())) {
                askTogether(chat, asked, settings, answers, progress);
                return;
            }
            int done = 0;
            for (MtBenchQuestion question : asked) {
                if (!answers.has(question.id())) {
                    List<MtBenchAnswer.Choice> made = new ArrayList<>();
                    for (int choice = 0; choice < settings.choices(); choice++) {
                        made.add(new MtBenchAnswer.Choice(choice, answer(chat, question, settings, choice)));
                    }
                    answers.add(question.id(), made);
                }
                progress.at((double) ++done / asked.size(), "question " + question.id() + ", " + question.category());
            }
        }
    }

    private static void askTogether(
            ChatModel chat,
            List<MtBenchQuestion> asked,
            MtBenchSettings settings,
            MtBenchAnswerFile answers,
            Progress progress) {
        List<MtBenchQuestion> left =
                asked.stream().filter(question -> !answers.has(question.id())).toList();
        int[] done = {asked.size() - left.size()};
        try {
            MtBenchBatch.answer(chat, left, settings, (question, made) -> {
                answers.add(question.id(), made);
                progress.at(
                        (double) ++done[0] / asked.size(), "question " + question.id() + ", " + question.category());
            });
        } catch (PromptTooLongException e) {
            throw new UsageException(e.getMessage() + "; lower --max-new-tokens");
        } catch (IllegalArgumentException e) {
            if (e.getCause() instanceof MissingRowException) {
                throw new UsageException(e.getMessage());
            }
            throw e;
        }
    }

    private static List<String> answer(ChatModel chat, MtBenchQuestion question, MtBenchSettings settings, int choice) {
        try {
            return MtBench.answer(chat, question, settings, choice);
        } catch (PromptTooLongException e) {
            throw new UsageException("question " + question.id() + ": " + e.getMessage() + "; lower --max-new-tokens");
        } catch (MissingRowException e) {
            throw new UsageException("question " + question.id() + ": " + e.getMessage());
        }
    }
}
