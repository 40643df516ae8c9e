package nibble.cli.command;

import java.nio.file.Path;
import java.util.Optional;
import java.util.function.BiConsumer;
import nibble.checkpoint.Checkpoint;
import nibble.checkpoint.model.ModelConfig;
import nibble.checkpoint.vocabulary.TokenizerDescription;
import nibble.cli.option.ModelChat;
import nibble.cli.option.ModelTokenizer;
import nibble.cli.option.OpenedModel;
import nibble.cli.option.UsageException;
import nibble.cli.terminal.Progress;
import nibble.cli.terminal.Terminal;
import nibble.datasets.TextDataset;
import nibble.datasets.Tokenizer;
import nibble.datasets.chat.StopIds;
import nibble.engine.Llama;
import nibble.engine.backend.Backend;
import nibble.eval.comparison.BaselineDistributions;
import nibble.eval.comparison.Divergence;
import nibble.eval.comparison.ModelComparison;
import nibble.eval.harness.HarnessOptions;
import nibble.eval.tasks.EvaluatedModel;
import nibble.eval.tasks.EvaluationOptions;
import nibble.eval.tasks.EvaluationResult;
import nibble.eval.tasks.ResultJournal;
import org.jspecify.annotations.Nullable;

/** Asks models the same questions, one after the other: only one is loaded at a time. */
record TaskRun(Terminal terminal, Backend backend, AskedTasks tasks, EvaluationOptions options) {
    /**
     * Windows of this many tokens, or of the model's context where that is shorter, are what papers quote perplexity
     * at.
     */
    private static final int DIVERGENCE_CONTEXT = 2048;

    /**
     * A model to ask.
     *
     * @param name as results name it
     * @param journal results of an earlier run, and where those of this one are kept
     */
    record Subject(String name, Path folder, ResultJournal journal) {}

    /** One model's figures. */
    EvaluationResult measure(Subject subject) {
        return measure(subject, (_, _) -> {});
    }

    private EvaluationResult measure(Subject subject, BiConsumer<Llama, Tokenizer> then) {
        TokenizerDescription described = ModelTokenizer.describe(subject.folder());
        try (Checkpoint checkpoint = OpenedModel.open(terminal, subject.folder());
                Tokenizer tokenizer = ModelTokenizer.open(described);
                Llama llama = Llama.load(checkpoint, backend)) {
            if (subject.journal().entries() > 0) {
                terminal.note("resuming after " + subject.journal().entries() + " documents of an earlier run");
            }
            EvaluationResult result;
            try (Progress progress = new Progress(terminal, "tasks of " + subject.folder())) {
                result = tasks.measure(
                        evaluated(subject, checkpoint, described, tokenizer, llama),
                        subject.journal(),
                        (fraction, done, all) -> progress.at(fraction, done + "/" + all + " documents"));
            }
            then.accept(llama, tokenizer);
            return result;
        }
    }

    /**
     * Measures both models and compares them.
     *
     * @param windows of the text that next-token distributions are compared on; 0 for none
     * @param folder where the baseline's distributions may be kept meanwhile
     */
    ModelComparison compare(Subject baseline, Subject model, int windows, Path folder) {
        BaselineDistributions[] kept = new BaselineDistributions[1];
        Divergence[] divergence = new Divergence[1];
        try {
            EvaluationResult before = measure(baseline, (llama, tokenizer) -> {
                if (windows > 0) {
                    kept[0] = distributions(llama, tokenizer, windows, folder);
                }
            });
            EvaluationResult after = measure(model, (llama, tokenizer) -> {
                if (windows > 0) {
                    divergence[0] = divergence(kept[0], llama, tokenizer);
                }
            });
            return ModelComparison.of(before, after, divergence[0]);
        } finally {
            @Nullable BaselineDistributions file = kept[0];
            if (file != null) {
                file.close();
            }
        }
    }

    private BaselineDistributions distributions(Llama llama, Tokenizer tokenizer, int windows, Path folder) {
        int context = Math.min(DIVERGENCE_CONTEXT, llama.contextTokens());
        try (Progress progress = new Progress(terminal, "baseline's distributions")) {
            return BaselineDistributions.of(
                    llama::logits,
                    tokenizer,
                    TextDataset.wikitext2Test(),
                    context,
                    windows,
                    folder,
                    done -> progress.at(done, ""));
        }
    }

    private Divergence divergence(BaselineDistributions baseline, Llama llama, Tokenizer tokenizer) {
        try (Progress progress = new Progress(terminal, "divergence")) {
            return baseline.of(llama::logits, tokenizer, done -> progress.at(done, ""));
        }
    }

    /**
     * As lm-evaluation-harness has it, the tokenizer says what begins and ends a text, whether it puts it there or not.
     */
    private EvaluatedModel evaluated(
            Subject subject, Checkpoint checkpoint, TokenizerDescription described, Tokenizer tokenizer, Llama llama) {
        ModelConfig config = checkpoint.config();
        int[] leading = tokenizer.encode("", true);
        if (options.bos() && leading.length == 0) {
            throw new UsageException("--bos: the tokenizer of " + subject.name() + " puts no BOS in front of a text");
        }
        int first = leading.length > 0 ? leading[0] : -1;
        int ofConfig = config.eosIds().stream().findFirst().orElse(Math.max(first, 0));
        int eos = inModel(llama, described.id("eos_token"), ofConfig);
        int bos = inModel(llama, described.id("bos_token"), first >= 0 ? first : eos);
        return new EvaluatedModel(
                subject.name(),
                backend.description(),
                llama,
                tokenizer,
                bos,
                eos,
                StopIds.of(checkpoint, described),
                text(described, bos),
                text(described, eos),
                chat(subject.folder(), described));
    }

    private Optional<EvaluatedModel.Chat> chat(Path model, TokenizerDescription described) {
        HarnessOptions.Chat asked = tasks.chat();
        return asked.applied()
                ? Optional.of(new EvaluatedModel.Chat(
                        ModelChat.format(model, asked.template(), false), ModelChat.tokens(described)))
                : Optional.empty();
    }

    private static String text(TokenizerDescription described, int id) {
        return described.texts().getOrDefault(id, "");
    }

    private static int inModel(Llama llama, int id, int otherwise) {
        return id >= 0 && id < llama.vocabularySize() ? id : otherwise;
    }
}
