package nibble.calibrate.tune;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.function.IntFunction;
import nibble.checkpoint.Checkpoint;
import nibble.checkpoint.model.ModelConfig;
import nibble.engine.backend.Backend;
import nibble.engine.backend.GradientOperations;
import nibble.engine.backend.PlacedWeight;
import nibble.engine.forward.Forward;
import nibble.engine.forward.Taps;
import nibble.engine.tensor.DecoderLayer;
import nibble.engine.tensor.LayerFeed;
import nibble.engine.tensor.Matrix;
import nibble.engine.tensor.ModelWeights;
import nibble.engine.tensor.Norm;
import nibble.engine.tensor.Weight;

/** Judges a quantized model as a reader of its checkpoint gets it, on the text that is held back from tuning. */
final class HeldOut {
    /** Sequences that go through a layer at once. */
    private static final int BATCH = 8;

    private final TuningText text;
    private final OriginalStates original;
    private final Backend backend;
    private final GradientOperations operations;
    private final ModelConfig config;
    private final Weight embedding;
    private final Weight head;

    /** @param made a checkpoint of the model, for its embedding and its head */
    HeldOut(TuningText text, OriginalStates original, Backend backend, Checkpoint made) {
        this.text = text;
        this.original = original;
        this.backend = backend;
        this.operations = backend.gradients();
        this.config = made.config();
        this.embedding = ModelWeights.embedding(made);
        this.head = ModelWeights.head(made);
    }

    /** Tokens that the divergence is a mean over. */
    long tokens() {
        return (long) text.heldBack().length * text.length();
    }

    /** Returns the mean divergence from the original model, in nats. */
    double divergence(IntFunction<DecoderLayer> read, Norm finalNorm) {
        int[] numbers = text.heldBack();
        List<int[]> batches = new ArrayList<>();
        for (int at = 0; at < numbers.length; at += BATCH) {
            batches.add(Arrays.copyOfRange(numbers, at, Math.min(numbers.length, at + BATCH)));
        }
        List<Matrix> hidden = new ArrayList<>();
        double sum = 0;
        try (Forward forward = new Forward(config, backend);
                LayerFeed layers = backend.feed(read, config.layers());
                PlacedWeight placedHead = operations.place(head)) {
            batches.forEach(batch -> hidden.add(forward.embed(embedding, text.ids(batch))));
            for (int index = 0; index < config.layers(); index++) {
                DecoderLayer layer = layers.layer(index);
                for (int i = 0; i < batches.size(); i++) {
                    forward.layer(layer, hidden.get(i), batches.get(i).length, Taps.NONE);
                }
            }
            for (int i = 0; i < batches.size(); i++) {
                Matrix x = hidden.get(i);
                backend.norm(x, finalNorm, config.streamNormEps(), x);
                try (Matrix states = backend.allocate(x.rows(), x.columns())) {
                    original.copy(batches.get(i), states);
                    sum += operations.divergence(
                            placedHead.weight(), (float) config.multipliers().logitCap(), states, x, 0, null);
                }
            }
            return sum / tokens();
        } finally {
            hidden.forEach(Matrix::close);
        }
    }
}
