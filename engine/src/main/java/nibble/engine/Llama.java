package nibble.engine;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.function.IntPredicate;
import java.util.function.Supplier;
import nibble.checkpoint.Checkpoint;
import nibble.checkpoint.model.ModelConfig;
import nibble.checkpoint.model.layer.Rope;
import nibble.engine.attention.RotaryTable;
import nibble.engine.backend.Backend;
import nibble.engine.backend.TokenScores;
import nibble.engine.forward.Forward;
import nibble.engine.forward.Taps;
import nibble.engine.tensor.LogitRule;
import nibble.engine.tensor.Matrix;
import nibble.engine.tensor.ModelWeights;
import nibble.engine.tensor.PlacedModel;
import org.jspecify.annotations.Nullable;

/**
 * Runs a Llama model on a backend. Borrows both the weights (so the checkpoint stays open) and the backend, owns the
 * weights' place on it; used by one thread at a time.
 */
public final class Llama implements LanguageModel {
    private final ModelWeights weights;
    private final Backend backend;
    private final PlacedModel placed;
    private final Forward forward;
    /** What the host computes before the backend; null where the backend computes all. */
    private final @Nullable HostLayers host;

    /** Looks at the files of the weights before each pass, and after one that failed. */
    private final Runnable files;

    private Llama(
            ModelWeights weights, Backend backend, PlacedModel placed, @Nullable HostLayers host, Runnable files) {
        this.weights = weights;
        this.backend = backend;
        this.placed = placed;
        this.host = host;
        this.files = files;
        this.forward = new Forward(weights.config(), backend);
    }

    /** Returns the model of a dense or AWQ checkpoint, which must stay open. */
    public static Llama load(Checkpoint checkpoint, Backend backend) {
        return of(ModelWeights.read(checkpoint), backend, checkpoint::requireWhole);
    }

    public static Llama of(ModelWeights weights, Backend backend) {
        return of(weights, backend, () -> {});
    }

    /** @param files looks whether the files of the weights are whole, and throws if one is not */
    static Llama of(ModelWeights weights, Backend backend, Runnable files) {
        Optional<Backend.HostShare> share = backend.hostShare(weights);
        if (share.isEmpty()) {
            return new Llama(weights, backend, backend.place(weights), null, files);
        }
        int layers = share.get().layers();
        Backend host = share.get().backend();
        return layers == weights.layers().size()
                ? new Llama(weights, host, host.place(weights), null, files)
                : new Llama(
                        weights,
                        backend,
                        backend.place(weights.last(layers)),
                        new HostLayers(weights, share.get()),
                        files);
    }

    /** Returns a model whose weights the backend has placed already; they are this model's from now on. */
    public static Llama of(ModelWeights weights, Backend backend, PlacedModel placed) {
        return new Llama(weights, backend, placed, null, () -> {});
    }

    /**
     * Runs a pass that reads the weights, if their files are whole.
     *
     * @throws nibble.checkpoint.source.BadCheckpointException if one was cut short, before the pass or within it
     */
    public <T> T pass(Supplier<T> pass) {
        files.run();
        try {
            return pass.get();
        } catch (InternalError e) {
            // What a read behind the end of a mapped file throws: the file says more.
            files.run();
            throw e;
        }
    }

    public ModelWeights weights() {
        return weights;
    }

    public Backend backend() {
        return backend;
    }

    public PlacedModel placed() {
        return placed;
    }

    /** Returns whether the host computes the first layers of the model. */
    public boolean sharesWithHost() {
        return host != null;
    }

    @Nullable
    HostLayers host() {
        return host;
    }

    @Override
    public float[] logProbabilities(int[] ids) {
        return logProbabilities(List.of(ids)).getFirst();
    }

    @Override
    public int sequencesPerBatch(int tokens) {
        return (host == null ? backend : host.backend()).sequencesPerBatch(weights.config(), tokens);
    }

    @Override
    public List<float[]> logProbabilities(List<int[]> sequences) {
        int length = sequences.getFirst().length;
        int[] ids = new int[Math.multiplyExact(sequences.size(), length)];
        for (int s = 0; s < sequences.size(); s++) {
            if (sequences.get(s).length != length) {
                throw new IllegalArgumentException(
                        "sequences of " + length + " and " + sequences.get(s).length + " tokens in one batch");
            }
            System.arraycopy(sequences.get(s), 0, ids, s * length, length);
        }
        if (length < 2) {
            throw new IllegalArgumentException(length + " token ids given, a prediction needs at least 2");
        }
        checkLength(length);
        return pass(() -> logProbabilities(ids, sequences.size()));
    }

    private List<float[]> logProbabilities(int[] ids, int sequences) {
        int length = ids.length / sequences;
        // The last id is only predicted: nothing comes after it. It still runs, because dynamic-NTK rope is of all ids.
        int scored = length - 1;
        List<float[]> result = new ArrayList<>();
        try (Matrix hidden = finalHidden(ids, sequences);
                Matrix rows =
                        backend.allocate(sequences * scored, weights.config().hiddenSize())) {
            int[] next = new int[rows.rows()];
            for (int s = 0; s < sequences; s++) {
                backend.copyRows(hidden, s * length, scored, rows, s * scored);
                System.arraycopy(ids, s * length + 1, next, s * scored, scored);
            }
            float[] all = backend.logProbabilities(placed.head(), weights.rule(), rows, next);
            for (int s = 0; s < sequences; s++) {
                result.add(Arrays.copyOfRange(all, s * scored, (s + 1) * scored));
            }
        }
        return result;
    }

    @Override
    public int tokensPerPass() {
        return Math.max(LanguageModel.super.tokensPerPass(), sequencesPerBatch(1));
    }

    @Override
    public ScoredContinuations score(List<Continuation> continuations) {
        List<ScoredContinuations.Score> scores = new ArrayList<>();
        long tokens = 0;
        double flops = 0;
        for (List<Continuation> pass : passes(continuations)) {
            PrefixTree tree = PrefixTree.of(pass);
            scores.addAll(score(pass, tree));
            int predictions = pass.stream().mapToInt(Continuation::scored).sum();
            tokens += tree.tokens();
            flops += ForwardCost.flops(weights.config(), tree.positions(), predictions);
        }
        return new ScoredContinuations(scores, tokens, flops);
    }

    /** All at once, unless rope depends on the length of the sequence: then those that it matters for go alone. */
    private List<List<Continuation>> passes(List<Continuation> continuations) {
        ModelConfig config = weights.config();
        continuations.forEach(c -> checkLength(c.inputs()));
        int steady = RotaryTable.steadyLength(config);
        boolean together = continuations.stream().allMatch(c -> c.inputs() <= steady);
        return together
                ? List.of(continuations)
                : continuations.stream().map(List::of).toList();
    }

    private List<ScoredContinuations.Score> score(List<Continuation> continuations, PrefixTree tree) {
        return pass(() -> scored(continuations, tree));
    }

    private List<ScoredContinuations.Score> scored(List<Continuation> continuations, PrefixTree tree) {
        ModelConfig config = weights.config();
        int predictions = continuations.stream().mapToInt(Continuation::scored).sum();
        try (Matrix hidden = entering(tree);
                Matrix rows = backend.allocate(predictions, config.hiddenSize());
                PrefixAttention attention = new PrefixAttention(config, backend, forward, tree)) {
            for (int layer = 0; layer < placed.config().layers(); layer++) {
                forward.layer(placed.layer(layer), hidden, attention);
            }
            int[] next = scoredRows(continuations, tree, hidden, rows);
            backend.norm(rows, weights.finalNorm(), config.streamNormEps(), rows);
            return scores(continuations, next, backend.score(placed.head(), weights.rule(), rows, next));
        }
    }

    /** Brings together the rows that predict an id of a continuation; returns those ids. */
    private int[] scoredRows(List<Continuation> continuations, PrefixTree tree, Matrix hidden, Matrix rows) {
        int[] next = new int[rows.rows()];
        int at = 0;
        for (int i = 0; i < continuations.size(); i++) {
            Continuation c = continuations.get(i);
            int begin = c.inputs() - c.scored();
            System.arraycopy(c.ids(), begin + 1, next, at, c.scored());
            for (int position = begin; position < c.inputs(); ) {
                int row = tree.row(i, position);
                int count = 1;
                while (position + count < c.inputs() && tree.row(i, position + count) == row + count) {
                    count++;
                }
                backend.copyRows(hidden, row, count, rows, at);
                at += count;
                position += count;
            }
        }
        return next;
    }

    private static List<ScoredContinuations.Score> scores(
            List<Continuation> continuations, int[] next, TokenScores tokens) {
        List<ScoredContinuations.Score> scores = new ArrayList<>();
        int at = 0;
        for (Continuation c : continuations) {
            int end = at + c.scored();
            scores.add(new ScoredContinuations.Score(
                    Arrays.copyOfRange(tokens.logProbabilities(), at, end),
                    Arrays.equals(next, at, end, tokens.likeliest(), at, end)));
            at = end;
        }
        return scores;
    }

    @Override
    public int[] write(int[] prompt, int maxNewTokens, Set<Integer> stopIds, IntPredicate goesOn) {
        return Generator.generateWhile(this, prompt, SamplingOptions.GREEDY, maxNewTokens, stopIds, goesOn);
    }

    /** Returns the logits after every id, row-major [ids, vocabulary]; for tests and short sequences. */
    public float[] logits(int[] ids) {
        if (ids.length == 0) {
            throw new IllegalArgumentException("no token ids given");
        }
        checkLength(ids.length);
        return pass(() -> computedLogits(ids));
    }

    private float[] computedLogits(int[] ids) {
        try (Matrix hidden = finalHidden(ids, 1);
                Matrix logits =
                        backend.allocateSingle(ids.length, weights.head().outFeatures())) {
            backend.linear(placed.head(), hidden, logits);
            finishLogits(logits);
            return backend.download(logits);
        }
    }

    /** Returns an empty sequence that can grow to {@code capacity} tokens; the caller closes it. */
    public Session session(int capacity) {
        if (capacity < 1) {
            throw new IllegalArgumentException("session of " + capacity + " tokens; at least 1 needed");
        }
        checkLength(capacity);
        return new Session(this, capacity);
    }

    /** Makes logits of the head's products. */
    public void finishLogits(Matrix logits) {
        LogitRule rule = weights.rule();
        if (rule.hasBias()) {
            backend.addBias(rule.bias(), logits);
        }
        if (rule.cap() != 0) {
            backend.cap(logits, rule.cap());
        }
    }

    private Matrix finalHidden(int[] ids, int sequences) {
        HostLayers first = host;
        Matrix hidden = first == null
                ? forward.embed(placed.embedding(), ids)
                : upload(first.run(
                        ids, (layer, stream, _) -> first.forward().layer(layer, stream, sequences, Taps.NONE)));
        try {
            for (int layer = 0; layer < placed.config().layers(); layer++) {
                forward.layer(placed.layer(layer), hidden, sequences, Taps.NONE);
            }
            backend.norm(hidden, weights.finalNorm(), weights.config().streamNormEps(), hidden);
            return hidden;
        } catch (RuntimeException e) {
            hidden.close();
            throw e;
        }
    }

    /** The residual stream of a tree's rows in front of the backend's layers. */
    private Matrix entering(PrefixTree tree) {
        HostLayers first = host;
        if (first == null) {
            return forward.embed(placed.embedding(), tree.ids());
        }
        try (PrefixAttention attention =
                new PrefixAttention(weights.config(), first.backend(), first.forward(), tree)) {
            return upload(
                    first.run(tree.ids(), (layer, stream, _) -> first.forward().layer(layer, stream, attention)));
        }
    }

    private Matrix upload(float[] hidden) {
        int columns = weights.config().hiddenSize();
        return backend.upload(hidden, hidden.length / columns, columns);
    }

    private void checkLength(int tokens) {
        if (tokens > contextTokens()) {
            throw new IllegalArgumentException("context overflow: " + tokens + " tokens, the model was made for "
                    + contextTokens() + "; give a shorter text or context");
        }
    }

    /**
     * Returns {@code max_position_embeddings}, times the factor where linear or dynamic-NTK rope scaling stretches it,
     * and at least the stretched original length where YaRN does.
     */
    @Override
    public int contextTokens() {
        ModelConfig config = weights.config();
        return switch (config.rope().scaling()) {
            case Rope.None() -> config.maxPositions();
            case Rope.Llama3 _, Rope.LongRope _ -> config.maxPositions();
            case Rope.Yarn yarn -> Math.max(config.maxPositions(), (int) (yarn.originalMaxPositions() * yarn.factor()));
            case Rope.Linear(double factor) -> (int) (config.maxPositions() * factor);
            case Rope.DynamicNtk(double factor) -> (int) (config.maxPositions() * factor);
        };
    }

    @Override
    public int vocabularySize() {
        return weights.head().outFeatures();
    }

    /** Frees the activations and the weights' place on the backend. */
    @Override
    public void close() {
        forward.close();
        placed.close();
        if (host != null) {
            host.close();
        }
    }
}
