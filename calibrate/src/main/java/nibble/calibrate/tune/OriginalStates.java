package nibble.calibrate.tune;

import java.util.Arrays;
import nibble.checkpoint.Checkpoint;
import nibble.checkpoint.model.ModelConfig;
import nibble.engine.backend.ActivationStore;
import nibble.engine.backend.Backend;
import nibble.engine.forward.Forward;
import nibble.engine.forward.Taps;
import nibble.engine.tensor.DecoderLayer;
import nibble.engine.tensor.LayerFeed;
import nibble.engine.tensor.Matrix;
import nibble.engine.tensor.ModelWeights;
import nibble.engine.tensor.Norm;
import nibble.engine.tensor.Weight;

/** Holds what the original model has of sequences after its final norm. Owns it. */
final class OriginalStates implements AutoCloseable {
    /** Sequences that go through a layer at once, at least. */
    private static final int LEAST_BATCH = 8;

    private final Backend backend;
    private final int length;
    /** Numbers of the sequences, ascending. */
    private final int[] numbers;

    private final int perBatch;
    private final ActivationStore batches;

    private OriginalStates(Backend backend, ModelConfig config, int length, int[] numbers) {
        this.backend = backend;
        this.length = length;
        this.numbers = numbers;
        this.perBatch = Math.max(LEAST_BATCH, backend.sequencesPerBatch(config, length));
        this.batches = backend.hostStore();
    }

    /**
     * Runs the original model, a layer at a time.
     *
     * @param numbers of the sequences, ascending
     * @param onLayer told after each
     */
    static OriginalStates of(TuningText text, int[] numbers, Checkpoint source, Backend backend, Runnable onLayer) {
        ModelConfig config = source.config();
        OriginalStates states = new OriginalStates(backend, config, text.length(), numbers);
        try (Forward forward = new Forward(config, backend);
                LayerFeed layers = backend.feed(layer -> DecoderLayer.read(source, layer), config.layers())) {
            states.embed(forward, ModelWeights.embedding(source), text);
            for (int i = 0; i < config.layers(); i++) {
                DecoderLayer layer = layers.layer(i);
                states.change(hidden -> forward.layer(layer, hidden, hidden.rows() / text.length(), Taps.NONE));
                onLayer.run();
            }
            Norm norm = ModelWeights.finalNorm(source);
            states.change(hidden -> backend.norm(hidden, norm, config.streamNormEps(), hidden));
            backend.synchronize();
            return states;
        } catch (RuntimeException | Error e) {
            states.close();
            throw e;
        }
    }

    private void embed(Forward forward, Weight embedding, TuningText text) {
        for (int first = 0; first < numbers.length; first += perBatch) {
            int[] batch = Arrays.copyOfRange(numbers, first, Math.min(numbers.length, first + perBatch));
            batches.add(forward.embed(embedding, text.ids(batch)));
        }
    }

    private void change(java.util.function.Consumer<Matrix> change) {
        for (int i = 0; i * perBatch < numbers.length; i++) {
            change.accept(batches.borrow(i));
            batches.giveBack(i, true);
        }
    }

    /** Puts the states of some sequences into a matrix of any device of the kind, one after another. */
    void copy(int[] sequences, Matrix into) {
        for (int i = 0; i < sequences.length; i++) {
            int at = Arrays.binarySearch(numbers, sequences[i]);
            if (at < 0) {
                throw new IllegalArgumentException("no states of sequence " + sequences[i]);
            }
            batches.read(at / perBatch, at % perBatch * length, length, into, i * length);
        }
    }

    @Override
    public void close() {
        batches.close();
    }
}
