package nibble.cli;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.Set;
import java.util.concurrent.Callable;
import nibble.convert.Checkpoint;
import nibble.convert.GenerationConfig;
import nibble.convert.LlamaConfig;
import nibble.datasets.Tokenizer;
import nibble.datasets.evaluation.EvaluationData;
import nibble.engine.Backend;
import nibble.engine.Llama;
import nibble.eval.tasks.EvaluatedModel;
import nibble.eval.tasks.EvaluationJson;
import nibble.eval.tasks.EvaluationOptions;
import nibble.eval.tasks.EvaluationResult;
import nibble.eval.tasks.Preset;
import nibble.eval.tasks.ResultJournal;
import nibble.eval.tasks.RunDescription;
import nibble.eval.tasks.Task;
import nibble.eval.tasks.TaskEvaluation;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

@Command(
        name = "tasks",
        description = "Questions with answers to choose from or to write, by the definitions of lm-evaluation-harness: arc_challenge,"
                + " arc_easy, hellaswag, mmlu, truthfulqa, winogrande, piqa, openbookqa, lambada, gsm8k, wikitext.",
        mixinStandardHelpOptions = true,
        sortOptions = false)
final class TasksCommand implements Callable<Integer> {
    private final Terminal terminal;

    @Parameters(paramLabel = "MODEL", description = "A checkpoint, dense or 4-bit, or a GGUF file. " + ModelArgument.DESCRIPTION)
    @SuppressWarnings("NullAway.Init")
    private ModelArgument source;

    @Option(names = "--tasks", paramLabel = "TASK,…", split = ",", required = true, description = "What to measure.")
    private List<String> tasks = new ArrayList<>();

    @Option(
            names = "--preset",
            paramLabel = "NAME",
            defaultValue = "leaderboard-v1",
            description = "Whose rules: leaderboard-v1 (the Open LLM Leaderboard of 2023: 25, 10, 5, 0, 5, 5 examples for arc_challenge,"
                    + " hellaswag, mmlu, truthfulqa, winogrande, gsm8k) or lm-eval-0.4.9.1. Default: ${DEFAULT-VALUE}.")
    private String preset = "leaderboard-v1";

    @Option(names = "--num-fewshot", paramLabel = "K", description = "Examples before each question. Default: the preset's.")
    private @Nullable Integer shots;

    @Option(names = "--limit", paramLabel = "N", description = "Only the first N documents of a task, in the preset's order.")
    private @Nullable Integer limit;

    @Option(names = "--bos", description = "Begin every request with the BOS id; both presets do not.")
    private boolean bos;

    @Option(
            names = "--fewshot-from",
            paramLabel = "train|measured",
            defaultValue = "train",
            description = "Where examples come from if their own part of the data set is not at hand: nowhere, which is an error, or"
                    + " the measured documents. Default: ${DEFAULT-VALUE}.")
    private String fewShotFrom = "train";

    @Option(
            names = "--data",
            paramLabel = "DIR",
            description = "Take documents from files of DIR first, named like hellaswag.validation.jsonl or winogrande.train.parquet.")
    private @Nullable Path data;

    @Option(
            names = "--journal",
            paramLabel = "FILE",
            description = "Keep results of finished documents in FILE, and go on from those that are there; it is removed at the end."
                    + " Default: the file of --json with .journal behind it.")
    private @Nullable Path journal;

    @Option(
            names = "--no-prefix-sharing",
            description = "Compute every request by itself, to see what sharing gains.")
    private boolean alone;

    @Mixin
    private DeviceOptions device = new DeviceOptions();

    @Mixin
    private JsonOption json = new JsonOption();

    TasksCommand(Terminal terminal) {
        this.terminal = terminal;
    }

    @Override
    public Integer call() {
        List<Task> asked = tasks.stream().map(String::strip).map(TasksCommand::task).distinct().toList();
        EvaluationOptions options = options();
        json.requireWritable();
        EvaluationData documents = new EvaluationData(
                Optional.ofNullable(data),
                Optional.of(HubOptions.settings(terminal, Optional.empty()).cache()));
        Path model = source.folder(terminal);
        EvaluationResult result;
        try (Checkpoint checkpoint = Checkpoint.open(model);
                Tokenizer tokenizer = ModelTokenizer.open(model);
                Backend backend = device.open(terminal);
                ResultJournal kept = journal(model, backend, asked, options, documents);
                Llama llama = Llama.load(checkpoint, backend)) {
            if (kept.entries() > 0) {
                terminal.note("going on from " + kept.entries() + " documents of an earlier run");
            }
            EvaluatedModel subject = subject(checkpoint, tokenizer, backend, llama);
            try (Progress progress = new Progress(terminal, "tasks of " + model)) {
                result = TaskEvaluation.run(
                        subject, asked, options, documents, kept,
                        (fraction, done, all) -> progress.at(fraction, done + "/" + all + " documents"));
            }
            json.writeText(terminal, EvaluationJson.text(result));
            kept.delete();
        }
        if (!json.toStandardOutput()) {
            new TaskTable(result).print(terminal);
        }
        return ExitCode.DONE;
    }

    private static Task task(String name) {
        return Task.named(name).orElseThrow(() -> new UsageException(
                "--tasks " + name + ": no such task; the nearest are " + String.join(", ", Task.nearest(name))));
    }

    private EvaluationOptions options() {
        Preset rules = Preset.named(preset)
                .orElseThrow(() -> new UsageException("--preset " + preset + ": unknown; known are " + Preset.known()));
        if (limit != null && limit < 1 || shots != null && shots < 0) {
            throw new UsageException("--limit must be at least 1 and --num-fewshot at least 0");
        }
        if (!fewShotFrom.equals("train") && !fewShotFrom.equals("measured")) {
            throw new UsageException("--fewshot-from " + fewShotFrom + ": train or measured expected");
        }
        return new EvaluationOptions(
                rules,
                shots == null ? OptionalInt.empty() : OptionalInt.of(shots),
                limit == null ? OptionalInt.empty() : OptionalInt.of(limit),
                bos,
                fewShotFrom.equals("measured"),
                !alone);
    }

    private ResultJournal journal(
            Path model, Backend backend, List<Task> asked, EvaluationOptions options, EvaluationData documents) {
        Path file = journal;
        if (file == null) {
            if (json.file == null || json.toStandardOutput()) {
                return ResultJournal.none();
            }
            file = Path.of(json.file + ".journal");
        }
        String kind = backend.description().toLowerCase(Locale.ROOT).replaceFirst("[:0-9].*", "");
        return ResultJournal.open(file, RunDescription.of(model, kind, asked, options, documents));
    }

    private EvaluatedModel subject(Checkpoint checkpoint, Tokenizer tokenizer, Backend backend, Llama llama) {
        LlamaConfig config = checkpoint.config();
        Set<Integer> stops = new HashSet<>(config.eosIds());
        stops.addAll(GenerationConfig.of(checkpoint.folder()).eosIds());
        int[] leading = tokenizer.encode("", true);
        if (bos && leading.length != 1) {
            throw new UsageException("--bos: the tokenizer of " + source + " has no BOS id");
        }
        int eos = config.eosIds().stream().findFirst().orElse(leading.length == 1 ? leading[0] : 0);
        return new EvaluatedModel(
                source.text(), backend.description(), llama, tokenizer, leading.length == 1 ? leading[0] : eos, eos, stops);
    }
}
