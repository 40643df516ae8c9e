package nibble.cli.evaluation;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import nibble.cli.option.InputFile;
import nibble.cli.option.UsageException;
import nibble.cli.terminal.Terminal;
import nibble.eval.harness.HarnessFiles;
import nibble.eval.harness.HarnessOptions;
import nibble.eval.harness.HarnessTasks;
import nibble.eval.tasks.EvaluationResult;
import nibble.eval.tasks.Preset;
import nibble.files.Reasons;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Option;

/** The options of tasks whose rules stand in files. */
final class HarnessChoices {
    private static final String OWN_TEMPLATE = "model";

    @Option(
            names = "--include-path",
            paramLabel = "DIR",
            description = "Read tasks from DIR too: YAML files in lm-evaluation-harness's form. A name that comes with"
                    + " Nibble means the file in DIR.")
    private @Nullable Path includePath;

    @Option(
            names = "--seed",
            paramLabel = "S",
            description = "Seed of the generator that draws examples. Default: the preset's, 1234.")
    private @Nullable Long seed;

    @Option(
            names = "--gen-kwargs",
            paramLabel = "KEY=VALUE,…",
            split = ",",
            description = "Values for writing instead of the tasks' own, such as max_gen_toks=64.")
    private List<String> generation = new ArrayList<>();

    @Option(
            names = "--apply-chat-template",
            paramLabel = "NAME",
            arity = "0..1",
            fallbackValue = OWN_TEMPLATE,
            description = "Ask in the model's chat format: its own template, or the one called NAME.")
    private @Nullable String template;

    @Option(
            names = "--system-instruction",
            paramLabel = "TEXT",
            description = "Begin every request with TEXT; with --apply-chat-template, as the system's message.")
    private @Nullable String system;

    @Option(
            names = "--fewshot-as-multiturn",
            paramLabel = "true|false",
            arity = "0..1",
            fallbackValue = "true",
            description = "With --apply-chat-template: make each example a question and an answer of the conversation,"
                    + " not a part of the question. Default: true with --apply-chat-template.")
    private @Nullable Boolean multiturn;

    @Option(
            names = "--output-path",
            paramLabel = "DIR",
            description = "Also write the results as lm-evaluation-harness does, to DIR/MODEL/results_TIME.json.")
    private @Nullable Path outputPath;

    @Option(
            names = "--log-samples",
            description = "With --output-path: also write each document with its requests and responses, to"
                    + " samples_TASK_TIME.jsonl.")
    private boolean logSamples;

    void requireInputs() {
        InputFile.requireFolder("--include-path", includePath);
    }

    /** Checks the options against the preset. */
    void check(Preset preset, double limit) {
        if (logSamples && outputPath == null) {
            throw new UsageException("--log-samples: give --output-path DIR too");
        }
        if (Boolean.TRUE.equals(multiturn) && template == null) {
            throw new UsageException("--fewshot-as-multiturn: give --apply-chat-template too");
        }
        boolean asked = includePath != null || seed != null || !generation.isEmpty() || outputPath != null;
        boolean talks = template != null || system != null || multiturn != null;
        if (!preset.readsFiles() && (asked || talks || limit < 1)) {
            throw new UsageException("--include-path, --seed, --gen-kwargs, --apply-chat-template,"
                    + " --system-instruction, --fewshot-as-multiturn, --output-path and a --limit below 1 need"
                    + " --preset lm-eval-0.4.13, not " + preset.id());
        }
    }

    HarnessOptions options(double limit) {
        try {
            return new HarnessOptions(
                    Optional.ofNullable(includePath),
                    new HarnessOptions.Limit(limit),
                    seed == null ? HarnessOptions.SEED : seed,
                    HarnessOptions.generation(generation),
                    chat());
        } catch (IllegalArgumentException e) {
            throw new UsageException("--gen-kwargs: " + e.getMessage());
        }
    }

    private HarnessOptions.Chat chat() {
        boolean applied = template != null;
        return new HarnessOptions.Chat(
                applied,
                OWN_TEMPLATE.equals(template) ? null : template,
                system,
                multiturn == null ? applied : multiturn);
    }

    /**
     * Writes what was asked for beside Nibble's own results.
     *
     * @param chatTemplate the source of the template that was applied; null for none
     */
    void write(
            Terminal terminal,
            HarnessTasks tasks,
            EvaluationResult result,
            Map<String, String> modelFacts,
            @Nullable String chatTemplate) {
        if (outputPath == null) {
            return;
        }
        try {
            Path written = new HarnessFiles(tasks, result, modelFacts, chatTemplate).write(outputPath, logSamples);
            terminal.note("written: " + written);
        } catch (IOException e) {
            throw new UncheckedIOException(outputPath + ": cannot be written: " + Reasons.of(e), e);
        }
    }
}
