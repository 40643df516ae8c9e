package nibble.cli.evaluation;

import java.nio.file.Path;
import java.util.function.BiConsumer;
import nibble.checkpoint.Checkpoint;
import nibble.checkpoint.vocabulary.TokenizerDescription;
import nibble.cli.option.CacheOption;
import nibble.cli.option.ModelTokenizer;
import nibble.cli.option.OpenedModel;
import nibble.cli.terminal.Progress;
import nibble.cli.terminal.Terminal;
import nibble.datasets.TextDataset;
import nibble.datasets.Tokenizer;
import nibble.engine.LanguageModel;
import nibble.engine.Llama;
import nibble.engine.attention.CacheType;
import nibble.engine.backend.Backend;
import nibble.engine.batch.CachedModel;
import nibble.eval.comparison.BaselineDistributions;
import nibble.eval.comparison.Divergence;
import nibble.eval.comparison.ModelComparison;
import nibble.eval.tasks.EvaluationOptions;
import nibble.eval.tasks.EvaluationResult;
import nibble.eval.tasks.ResultJournal;
import org.jspecify.annotations.Nullable;

/** Asks models the same questions, one after the other: only one is loaded at a time. */
public record TaskRun(
        Terminal terminal, Backend backend, AskedTasks tasks, EvaluationOptions options, CacheType cache) {
    /**
     * Windows of this many tokens, or of the model's context where that is shorter, are what papers quote perplexity
     * at.
     */
    private static final int DIVERGENCE_CONTEXT = 2048;

    /**
     * Holds a model to ask.
     *
     * @param name as results name it
     * @param journal results of an earlier run, and where those of this one are kept
     */
    public record Subject(String name, Path folder, ResultJournal journal) {}

    /** Returns one model's figures. */
    public EvaluationResult measure(Subject subject) {
        return measure(subject, (_, _) -> {});
    }

    private EvaluationResult measure(Subject subject, BiConsumer<Llama, Tokenizer> then) {
        TokenizerDescription described = ModelTokenizer.describe(subject.folder());
        try (Checkpoint checkpoint = OpenedModel.open(terminal, subject.folder());
                Tokenizer tokenizer = ModelTokenizer.open(described);
                Llama llama = Llama.load(checkpoint, backend);
                CachedModel cached = new CachedModel(llama, cache)) {
            CacheOption.require(cache, llama);
            LanguageModel asked = cache == CacheType.AUTO ? llama : cached;
            if (subject.journal().entries() > 0) {
                terminal.note("resuming after " + subject.journal().entries() + " documents of an earlier run");
            }
            EvaluationResult result;
            try (Progress progress = new Progress(terminal, "tasks of " + subject.folder())) {
                result = tasks.measure(
                        new AskedModel(subject.name(), subject.folder(), checkpoint, described, tokenizer)
                                .evaluated(
                                        asked,
                                        CacheOption.described(cache, backend.description()),
                                        tasks.chat(),
                                        options.bos()),
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
    public ModelComparison compare(Subject baseline, Subject model, int windows, Path folder) {
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
}
