package nibble.engine.gradient;

import java.util.ArrayList;
import java.util.List;
import nibble.checkpoint.model.ModelConfig;
import nibble.engine.Forward;
import nibble.engine.backend.Backend;
import nibble.engine.backend.GradientOperations;
import nibble.engine.tensor.DecoderLayer;
import nibble.engine.tensor.Matrix;

/**
 * The divergence of a tuned model's next-token distributions from the original model's, and its gradient, over batches
 * of so many sequences of one length. What a layer's backward pass needs is kept for as many layers as the memory
 * allows; the other layers run forward again.
 */
public final class DivergencePass implements AutoCloseable {
    private final TunedModel model;
    private final ModelConfig config;
    private final Backend backend;
    private final GradientOperations operations;
    private final LayerPass layers;
    private final Forward embedding;
    private final int rows;
    /** Of the last layers; the first one is shared by all that have none of their own. */
    private final List<LayerTape> tapes = new ArrayList<>();
    /** What went into the layers that share a tape. */
    private final List<Matrix> inputs = new ArrayList<>();

    private final Matrix normed;
    private final Matrix dNormed;

    /**
     * @param operations of the backend
     * @param memory bytes that may be kept of forward passes
     */
    public DivergencePass(
            TunedModel model, Backend backend, GradientOperations operations, int sequences, int length, long memory) {
        this.model = model;
        this.config = model.config();
        this.backend = backend;
        this.operations = operations;
        this.rows = Math.multiplyExact(sequences, length);
        this.layers = new LayerPass(config, backend, operations, sequences, length);
        this.embedding = new Forward(config, backend);
        long bytes = Float.BYTES * LayerTape.columns(config) * rows;
        int kept = (int) Math.clamp(memory / bytes, 1, config.layers());
        for (int i = 0; i < kept; i++) {
            tapes.add(new LayerTape(backend, config, rows));
        }
        for (int i = 0; i < config.layers() - kept; i++) {
            inputs.add(backend.allocate(rows, config.hiddenSize()));
        }
        this.normed = backend.allocate(rows, config.hiddenSize());
        this.dNormed = backend.allocate(rows, config.hiddenSize());
    }

    /** Floats that a token takes on a layer's tape. */
    public static long tapeColumns(ModelConfig config) {
        return LayerTape.columns(config);
    }

    /**
     * Adds the gradient of the mean divergence to the parameters.
     *
     * @param ids of the sequences, one after another
     * @param original the original model's states after its final norm
     * @param share of the mean that this batch is
     * @return Σ of the divergence over the batch's tokens, in nats
     */
    public double add(int[] ids, Matrix original, double share) {
        int shared = inputs.size();
        try (Matrix hidden = embedding.embed(model.embedding(), ids);
                Matrix gradient = backend.allocate(rows, config.hiddenSize())) {
            for (int i = 0; i < config.layers(); i++) {
                if (i < shared) {
                    backend.copyRows(hidden, 0, rows, inputs.get(i), 0);
                }
                layers.forward(weights(i), hidden, tape(i));
            }
            backend.rmsNorm(hidden, model.finalNorm().values(), config.rmsNormEps(), normed);
            float factor = (float) (share / rows);
            double divergence = operations.divergence(model.head(), original, normed, factor, dNormed);
            operations.addRmsNorm(
                    hidden,
                    model.finalNorm().values(),
                    config.rmsNormEps(),
                    dNormed,
                    gradient,
                    model.finalNorm().gradient());
            for (int i = config.layers() - 1; i >= 0; i--) {
                DecoderLayer layer = weights(i);
                if (i < shared) {
                    backend.copyRows(inputs.get(i), 0, rows, hidden, 0);
                    layers.forward(layer, hidden, tape(i));
                }
                layers.backward(model.layers().get(i), layer, tape(i), gradient);
            }
            return divergence;
        }
    }

    private DecoderLayer weights(int layer) {
        return model.layers().get(layer).weights(operations);
    }

    private LayerTape tape(int layer) {
        return tapes.get(Math.max(0, layer - inputs.size()));
    }

    @Override
    public void close() {
        layers.close();
        embedding.close();
        tapes.forEach(LayerTape::close);
        inputs.forEach(Matrix::close);
        normed.close();
        dNormed.close();
    }
}
