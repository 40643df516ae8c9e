package nibble.engine.gradient;

import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.function.Consumer;
import nibble.checkpoint.model.ModelConfig;
import nibble.engine.backend.GradientOperations;
import nibble.engine.backend.LayerOperations;
import nibble.engine.backend.Parameter;
import nibble.engine.tensor.Matrix;

/**
 * Computes the divergence of a tuned model's next-token distributions from the original model's, and its gradient, over
 * batches of so many sequences of one length. What a layer's backward pass needs is kept for some layers; the others
 * run forward again.
 */
public final class DivergencePass implements AutoCloseable {
    private final TunedModel model;
    private final ModelConfig config;
    private final GradientOperations operations;
    private final LayerOperations forward;
    private final LayerPass layers;
    private final int rows;
    /** Of the last layers; the first one is shared by all that have none of their own. */
    private final List<LayerTape> tapes = new ArrayList<>();
    /** What went into the layers that share a tape. */
    private final List<Matrix> inputs = new ArrayList<>();

    private final Matrix normed;
    private final Matrix dNormed;

    /**
     * Prepares passes over a model.
     *
     * @param kept layers whose forward passes are kept, at least 1
     */
    public DivergencePass(TunedModel model, GradientOperations operations, int sequences, int length, int kept) {
        this.model = model;
        this.config = model.config();
        this.operations = operations;
        this.forward = operations.layers();
        this.rows = Math.multiplyExact(sequences, length);
        this.layers = new LayerPass(config, operations, sequences, length);
        for (int i = 0; i < kept; i++) {
            tapes.add(new LayerTape(forward, config, rows));
        }
        for (int i = 0; i < config.layers() - kept; i++) {
            inputs.add(forward.allocate(rows, config.hiddenSize()));
        }
        this.normed = forward.allocate(rows, config.hiddenSize());
        this.dNormed = forward.allocate(rows, config.hiddenSize());
    }

    /** Names what a model has that there are no gradients of, for messages; empty for one that can be tuned. */
    public static Optional<String> lacks(ModelConfig config) {
        if (config.experts().isPresent()) {
            return Optional.of("mixtures of experts");
        }
        if (config.latent().isPresent()) {
            return Optional.of("latent attention");
        }
        return config.architecture().centersNorms() || config.architecture().biasesNorms()
                ? Optional.of("models whose norms subtract the mean or have a bias")
                : Optional.empty();
    }

    /** Returns the floats that a token takes on a layer's tape. */
    public static long tapeColumns(ModelConfig config) {
        return LayerTape.columns(config);
    }

    /**
     * Adds the gradient of the mean divergence to the parameters.
     *
     * @param ids of the sequences, one after another
     * @param original the original model's states after its final norm
     * @param share of the mean that this batch is
     * @param whole told of each parameter once its gradient is whole and its layer no longer used; may move it
     * @return Σ of the divergence over the batch's tokens, in nats
     */
    public double add(int[] ids, Matrix original, double share, Consumer<Parameter> whole) {
        int shared = inputs.size();
        int count = config.layers();
        try (Matrix hidden = forward.allocate(rows, config.hiddenSize());
                Matrix gradient = forward.allocate(rows, config.hiddenSize())) {
            embed(ids, hidden);
            for (int i = 0; i < count; i++) {
                if (i < shared) {
                    forward.copyRows(hidden, 0, rows, inputs.get(i), 0);
                }
                try (LayerWeights layer = weights(i, Math.min(i + 1, count - 1))) {
                    layers.forward(layer, hidden, tape(i));
                }
            }
            Parameter finalNorm = model.finalNorm();
            operations.rmsNorm(hidden, finalNorm, config.streamNormEps(), normed);
            float factor = (float) (share / rows);
            float cap = (float) config.multipliers().logitCap();
            double divergence = operations.divergence(model.head(), cap, original, normed, factor, dNormed);
            operations.addRmsNorm(hidden, finalNorm, config.streamNormEps(), dNormed, gradient);
            whole.accept(finalNorm);
            for (int i = count - 1; i >= 0; i--) {
                try (LayerWeights layer = weights(i, Math.max(i - 1, 0))) {
                    if (i < shared) {
                        forward.copyRows(inputs.get(i), 0, rows, hidden, 0);
                        layers.forward(layer, hidden, tape(i));
                    }
                    layers.backward(layer, tape(i), gradient);
                }
                model.layers().get(i).parameters().forEach(whole);
            }
            return divergence;
        }
    }

    private void embed(int[] ids, Matrix into) {
        forward.embed(model.embedding(), ids, into);
        if (config.embeddingScale() != 1f) {
            forward.scale(into, config.embeddingScale());
        }
    }

    private LayerWeights weights(int layer, int next) {
        return new LayerWeights(layer, model.layers().get(layer), model.codes().layer(layer, next), operations);
    }

    private LayerTape tape(int layer) {
        return tapes.get(Math.max(0, layer - inputs.size()));
    }

    @Override
    public void close() {
        layers.close();
        tapes.forEach(LayerTape::close);
        inputs.forEach(Matrix::close);
        normed.close();
        dNormed.close();
    }
}
