package nibble.engine;

import java.util.Arrays;
import nibble.convert.Checkpoint;
import nibble.convert.LlamaConfig;
import nibble.convert.Rope;

/**
 * A Llama model on a backend. Borrows both the weights (so the checkpoint stays open) and the backend; used by one thread at
 * a time.
 */
public final class Llama implements LanguageModel {
    private final ModelWeights weights;
    private final Backend backend;
    private final Forward forward;

    private Llama(ModelWeights weights, Backend backend) {
        this.weights = weights;
        this.backend = backend;
        this.forward = new Forward(weights.config(), backend);
    }

    /** The model of a dense or AWQ checkpoint, which must stay open. */
    public static Llama load(Checkpoint checkpoint, Backend backend) {
        return of(ModelWeights.read(checkpoint), backend);
    }

    public static Llama of(ModelWeights weights, Backend backend) {
        return new Llama(weights, backend);
    }

    public ModelWeights weights() {
        return weights;
    }

    Backend backend() {
        return backend;
    }

    @Override
    public float[] logProbabilities(int[] ids) {
        if (ids.length < 2) {
            throw new IllegalArgumentException(ids.length + " token ids given, a prediction needs at least 2");
        }
        checkLength(ids.length);
        // The last id is only predicted: nothing comes after it. It still runs, because dynamic-NTK rope is of all ids.
        try (Matrix hidden = finalHidden(ids)) {
            int rows = ids.length - 1;
            try (Matrix scored = backend.allocate(rows, weights.config().hiddenSize())) {
                backend.copyRows(hidden, 0, rows, scored, 0);
                return backend.logProbabilities(weights.head(), scored, Arrays.copyOfRange(ids, 1, ids.length));
            }
        }
    }

    /** The logits after every id, row-major [ids, vocabulary]; for tests and short sequences. */
    public float[] logits(int[] ids) {
        if (ids.length == 0) {
            throw new IllegalArgumentException("no token ids given");
        }
        checkLength(ids.length);
        try (Matrix hidden = finalHidden(ids);
                Matrix logits = backend.allocate(ids.length, weights.head().outFeatures())) {
            backend.linear(weights.head(), hidden, logits);
            return backend.download(logits);
        }
    }

    /** An empty sequence that can grow to {@code capacity} tokens; the caller closes it. */
    public Session session(int capacity) {
        if (capacity < 1) {
            throw new IllegalArgumentException("session of " + capacity + " tokens; at least 1 needed");
        }
        checkLength(capacity);
        return new Session(this, capacity);
    }

    private Matrix finalHidden(int[] ids) {
        Matrix hidden = forward.embed(weights.embedding(), ids);
        for (DecoderLayer layer : weights.layers()) {
            forward.layer(layer, hidden, Taps.NONE);
        }
        backend.rmsNorm(hidden, weights.finalNorm(), weights.config().rmsNormEps(), hidden);
        return hidden;
    }

    private void checkLength(int tokens) {
        if (tokens > contextTokens()) {
            throw new IllegalArgumentException("context overflow: " + tokens + " tokens, the model was made for "
                    + contextTokens() + "; give a shorter text or context");
        }
    }

    /** {@code max_position_embeddings}, times the factor where linear or dynamic-NTK rope scaling stretches it. */
    @Override
    public int contextTokens() {
        LlamaConfig config = weights.config();
        return switch (config.rope().scaling()) {
            case Rope.None() -> config.maxPositions();
            case Rope.Llama3 llama3 -> config.maxPositions();
            case Rope.Linear(double factor) -> (int) (config.maxPositions() * factor);
            case Rope.DynamicNtk(double factor) -> (int) (config.maxPositions() * factor);
        };
    }

    @Override
    public int vocabularySize() {
        return weights.head().outFeatures();
    }

    /** Frees the activations; weights and backend stay. */
    @Override
    public void close() {
        forward.close();
    }
}
