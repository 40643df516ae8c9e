package nibble.calibrate.tune;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import nibble.checkpoint.model.ModelConfig;
import nibble.engine.Forward;
import nibble.engine.Taps;
import nibble.engine.backend.Backend;
import nibble.engine.backend.GradientOperations;
import nibble.engine.gradient.TunedLayer;
import nibble.engine.gradient.TunedModel;
import nibble.engine.tensor.DecoderLayer;
import nibble.engine.tensor.Matrix;

/** Judges a tuned model as a reader of its checkpoint gets it, on the text that is held back from tuning. */
final class HeldOut {
    /** Sequences that go through a layer at once. */
    private static final int BATCH = 8;

    private final TuningText text;
    private final OriginalStates original;
    private final Backend backend;
    private final GradientOperations operations;

    HeldOut(TuningText text, OriginalStates original, Backend backend, GradientOperations operations) {
        this.text = text;
        this.original = original;
        this.backend = backend;
        this.operations = operations;
    }

    /** Tokens that the divergence is a mean over. */
    long tokens() {
        return (long) text.heldBack().length * text.length();
    }

    /** The mean divergence from the original model, in nats, with all numbers rounded to fp16. */
    double divergence(TunedModel model) {
        ModelConfig config = model.config();
        float offset = config.architecture().normOffset();
        int[] numbers = text.heldBack();
        List<int[]> batches = new ArrayList<>();
        for (int at = 0; at < numbers.length; at += BATCH) {
            batches.add(Arrays.copyOfRange(numbers, at, Math.min(numbers.length, at + BATCH)));
        }
        List<Matrix> hidden = new ArrayList<>();
        double sum = 0;
        try (Forward forward = new Forward(config, backend)) {
            batches.forEach(batch -> hidden.add(forward.embed(model.embedding(), text.ids(batch))));
            for (TunedLayer tuned : model.layers()) {
                DecoderLayer layer = TunedTensors.rounded(tuned, offset).toDecoderLayer();
                for (int i = 0; i < batches.size(); i++) {
                    forward.layer(layer, hidden.get(i), batches.get(i).length, Taps.NONE);
                }
            }
            float[] norm = TunedTensors.roundedNorm(model.finalNorm(), offset);
            for (int i = 0; i < batches.size(); i++) {
                Matrix x = hidden.get(i);
                backend.rmsNorm(x, norm, config.rmsNormEps(), x);
                try (Matrix states = backend.allocate(x.rows(), x.columns())) {
                    original.copy(batches.get(i), states);
                    sum += operations.divergence(model.head(), states, x, 0, null);
                }
            }
            return sum / tokens();
        } finally {
            hidden.forEach(Matrix::close);
        }
    }
}
