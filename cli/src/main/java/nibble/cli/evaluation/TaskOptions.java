package nibble.cli.evaluation;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import nibble.cli.option.CacheOption;
import nibble.cli.option.HubOptions;
import nibble.cli.option.InputFile;
import nibble.cli.option.JsonOption;
import nibble.cli.option.ModelChat;
import nibble.cli.option.OutputFile;
import nibble.cli.option.UsageException;
import nibble.cli.terminal.Terminal;
import nibble.datasets.evaluation.EvaluationData;
import nibble.engine.attention.CacheType;
import nibble.eval.harness.HarnessOptions;
import nibble.eval.harness.HarnessTasks;
import nibble.eval.harness.UnknownTaskException;
import nibble.eval.tasks.EvaluationOptions;
import nibble.eval.tasks.EvaluationResult;
import nibble.eval.tasks.Preset;
import nibble.eval.tasks.ResultJournal;
import nibble.eval.tasks.Task;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** Holds the options for which tasks are measured, and how. */
public final class TaskOptions {
    @Option(
            names = "--tasks",
            paramLabel = "TASK,…",
            split = ",",
            required = true,
            description = "The tasks to measure: names of tasks, groups and tags, which may have * and ?.")
    private List<String> tasks = new ArrayList<>();

    @Option(
            names = "--preset",
            paramLabel = "NAME",
            defaultValue = "lm-eval-0.4.13",
            description =
                    "The rules: lm-eval-0.4.13 (tasks from files), lm-eval-0.4.9.1, or leaderboard-v1 (the Open LLM"
                        + " Leaderboard of 2023). leaderboard-v1 gives 25, 10, 5, 0, 5, 5 examples for arc_challenge,"
                        + " hellaswag, mmlu, truthfulqa, winogrande, gsm8k. Default: ${DEFAULT-VALUE}.")
    private String preset = "lm-eval-0.4.13";

    @Option(
            names = "--num-fewshot",
            paramLabel = "K",
            description = "Examples before each question. Default: the preset's.")
    private @Nullable Integer shots;

    @Option(
            names = "--limit",
            paramLabel = "N",
            description =
                    "Measure only the first N documents of each task, in the preset's order; below 1, that share of"
                            + " them.")
    private @Nullable Double limit;

    @Mixin
    private HarnessChoices harness = new HarnessChoices();

    @Option(
            names = "--bos",
            description =
                    "Begin every request with the BOS id. lm-eval-0.4.13 does so if the tokenizer does, the others"
                            + " never.")
    private boolean bos;

    @Option(
            names = "--fewshot-from",
            paramLabel = "train|measured",
            defaultValue = "train",
            description = "The source of few-shot examples if the data set's train part is missing. train: an error."
                    + " measured: the measured documents. Default: ${DEFAULT-VALUE}.")
    private String fewShotFrom = "train";

    @Option(
            names = "--data",
            paramLabel = "DIR",
            description = "Look for documents in DIR first, in files such as hellaswag.validation.jsonl or"
                    + " winogrande.train.parquet.")
    private @Nullable Path data;

    @Option(
            names = "--journal",
            paramLabel = "FILE",
            description =
                    "Keep the results of finished documents in FILE, and resume from an earlier run's results there."
                            + " The file is removed at the end. Default: the file of --json plus .journal.")
    private @Nullable Path journal;

    @Option(
            names = "--no-prefix-sharing",
            description = "Compute every request separately, to show the gain of sharing.")
    private boolean alone;

    @Mixin
    private CacheOption cache = new CacheOption();

    /** Returns how the KV cache holds keys and values. */
    public CacheType cache() {
        return cache.type();
    }

    /** Checks that what tasks are read from is there. */
    public void requireInputs() {
        InputFile.requireFolder("--data", data);
        harness.requireInputs();
    }

    /**
     * Checks the names of tasks that Java has the rules of, and the type of the KV cache.
     *
     * @throws UsageException for one that there is not
     */
    public void check(EvaluationOptions options) {
        cache.type();
        if (!options.preset().readsFiles()) {
            names().forEach(TaskOptions::task);
        }
    }

    /** Checks that the journal can be written. */
    public void requireJournal() {
        if (journal != null) {
            OutputFile.require("--journal", journal);
        }
    }

    private List<String> names() {
        return tasks.stream().map(String::strip).distinct().toList();
    }

    /**
     * Returns the tasks.
     *
     * @throws UsageException for one that there is not
     */
    public AskedTasks tasks(Terminal terminal, EvaluationOptions options) {
        EvaluationData documents = new EvaluationData(
                Optional.ofNullable(data),
                Optional.of(HubOptions.settings(terminal, Optional.empty()).cache()));
        return options.preset().readsFiles()
                ? new AskedTasks.OfFiles(ofFiles(names(), options, documents), options, documents)
                : new AskedTasks.Written(names().stream().map(TaskOptions::task).toList(), options, documents);
    }

    private HarnessTasks ofFiles(List<String> names, EvaluationOptions options, EvaluationData documents) {
        try {
            return new HarnessTasks(names, harness.options(limit()), options, documents);
        } catch (UnknownTaskException e) {
            throw new UsageException("--tasks " + e.getMessage());
        }
    }

    private double limit() {
        return limit == null ? Double.POSITIVE_INFINITY : limit;
    }

    /** Writes what {@code --output-path} asks for. */
    public void write(Terminal terminal, AskedTasks asked, EvaluationResult result, Path model) {
        if (asked instanceof AskedTasks.OfFiles files) {
            HarnessOptions.Chat chat = files.chat();
            String template = chat.applied()
                    ? ModelChat.format(model, chat.template(), false).source()
                    : null;
            harness.write(terminal, files.tasks(), result, Map.of("pretrained", model.toString()), template);
        }
    }

    private static Task task(String name) {
        return Task.named(name)
                .orElseThrow(() -> new UsageException("--tasks " + name + ": no such task; the nearest are "
                        + String.join(", ", Task.nearest(name))));
    }

    /**
     * Returns how tasks are measured.
     *
     * @throws UsageException for options that do not fit each other
     */
    public EvaluationOptions options() {
        Preset rules = Preset.named(preset)
                .orElseThrow(() -> new UsageException("--preset " + preset + ": unknown; known are " + Preset.known()));
        if (limit != null && (limit <= 0 || limit > 1 && limit != Math.rint(limit)) || shots != null && shots < 0) {
            throw new UsageException("--limit must be at least 1, or a share below 1, and --num-fewshot at least 0");
        }
        harness.check(rules, limit());
        if (!fewShotFrom.equals("train") && !fewShotFrom.equals("measured")) {
            throw new UsageException("--fewshot-from " + fewShotFrom + ": train or measured expected");
        }
        return new EvaluationOptions(
                rules,
                shots == null ? OptionalInt.empty() : OptionalInt.of(shots),
                limit == null || limit < 1
                        ? OptionalInt.empty()
                        : OptionalInt.of((int) Math.min(limit, Integer.MAX_VALUE)),
                bos,
                fewShotFrom.equals("measured"),
                !alone);
    }

    /**
     * Opens the journal of a model's results; one that keeps nothing if there is no place for it.
     *
     * @param suffix of the file's name
     * @param device kind of the device, as {@code cpu}
     */
    public ResultJournal journal(JsonOption json, Path model, String suffix, String device, AskedTasks asked) {
        Path file = journal;
        if (file == null) {
            if (json.file == null || json.toStandardOutput()) {
                return ResultJournal.none();
            }
            file = Path.of(json.file + ".journal");
        }
        file = file.resolveSibling(file.getFileName() + suffix);
        Map<String, String> job = asked.job(model, device);
        if (cache() != CacheType.AUTO) {
            job.put("KV cache", cache().label());
        }
        return ResultJournal.open(file, job);
    }
}
