package nibble.calibrate.tune;

import java.util.ArrayList;
import java.util.List;
import nibble.checkpoint.model.ModelConfig;
import nibble.engine.Forward;
import nibble.engine.Taps;
import nibble.engine.backend.Backend;
import nibble.engine.tensor.DecoderLayer;
import nibble.engine.tensor.LayerFeed;
import nibble.engine.tensor.Matrix;
import nibble.engine.tensor.Weight;

/** What the original model has of each sequence after its final norm. Owns the matrices. */
final class OriginalStates implements AutoCloseable {
    /** Sequences that go through a layer at once. */
    private static final int BATCH = 8;

    private final Backend backend;
    private final int length;
    private final List<Matrix> batches = new ArrayList<>();

    private OriginalStates(Backend backend, int length) {
        this.backend = backend;
        this.length = length;
    }

    /**
     * Runs the original model, a layer at a time.
     *
     * @param layers of the original
     * @param onLayer told after each
     */
    static OriginalStates of(
            TuningText text,
            ModelConfig config,
            Weight embedding,
            LayerFeed layers,
            float[] finalNorm,
            Backend backend,
            Runnable onLayer) {
        OriginalStates states = new OriginalStates(backend, text.length());
        try (Forward forward = new Forward(config, backend)) {
            int count = text.sequences().size();
            for (int first = 0; first < count; first += BATCH) {
                int[] numbers = new int[Math.min(BATCH, count - first)];
                int begin = first;
                java.util.Arrays.setAll(numbers, i -> begin + i);
                states.batches.add(forward.embed(embedding, text.ids(numbers)));
            }
            for (int i = 0; i < config.layers(); i++) {
                DecoderLayer layer = layers.layer(i);
                for (Matrix hidden : states.batches) {
                    forward.layer(layer, hidden, hidden.rows() / text.length(), Taps.NONE);
                }
                onLayer.run();
            }
            for (Matrix hidden : states.batches) {
                backend.rmsNorm(hidden, finalNorm, config.rmsNormEps(), hidden);
            }
            return states;
        } catch (RuntimeException | Error e) {
            states.close();
            throw e;
        }
    }

    /** Puts the states of some sequences into a matrix, one after another. */
    void copy(int[] sequences, Matrix into) {
        for (int i = 0; i < sequences.length; i++) {
            int from = sequences[i] % BATCH * length;
            backend.copyRows(batches.get(sequences[i] / BATCH), from, length, into, i * length);
        }
    }

    @Override
    public void close() {
        batches.forEach(Matrix::close);
    }
}
