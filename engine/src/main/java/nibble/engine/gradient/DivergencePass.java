package nibble.engine.gradient;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;
import java.util.Optional;
import java.util.function.Consumer;
import java.util.stream.IntStream;
import nibble.checkpoint.model.ModelConfig;
import nibble.checkpoint.model.layer.HeadNorm;
import nibble.engine.backend.GradientOperations;
import nibble.engine.backend.LayerOperations;
import nibble.engine.backend.Parameter;
import nibble.engine.tensor.Matrix;
import org.jspecify.annotations.Nullable;

/**
 * Computes the divergence of a tuned model's next-token distributions from the original model's, and its gradient, over
 * parts of a step, each of so many sequences of one length. The gradient is the sum over the parts, in their order.
 * What a layer's backward pass needs is kept for some layers; the others run forward again.
 */
public final class DivergencePass implements AutoCloseable {
    private final TunedModel model;
    private final ModelConfig config;
    private final GradientOperations operations;
    private final LayerOperations forward;
    private final LayerPass layers;
    /** Of a part. */
    private final int rows;

    private final List<Part> parts;
    private final Matrix normed;
    private final Matrix dNormed;

    /** What a part has of its own. Owns the matrices. */
    private static final class Part implements AutoCloseable {
        /** Of the last layers; the first one is shared by all that have none of their own. */
        final List<LayerTape> tapes = new ArrayList<>();
        /** What went into the layers that share a tape. */
        final List<Matrix> inputs = new ArrayList<>();

        final Matrix hidden;
        /** Of what the layer at hand gave; null outside of a step. */
        @Nullable
        Matrix gradient;

        Part(LayerOperations forward, ModelConfig config, int rows, int kept) {
            for (int i = 0; i < kept; i++) {
                tapes.add(new LayerTape(forward, config, rows));
            }
            for (int i = 0; i < config.layers() - kept; i++) {
                inputs.add(forward.allocate(rows, config.hiddenSize()));
            }
            this.hidden = forward.allocate(rows, config.hiddenSize());
        }

        Matrix gradient() {
            return Objects.requireNonNull(gradient);
        }

        void forgetGradient() {
            if (gradient != null) {
                gradient.close();
                gradient = null;
            }
        }

        LayerTape tape(int layer) {
            return tapes.get(Math.max(0, layer - inputs.size()));
        }

        @Override
        public void close() {
            tapes.forEach(LayerTape::close);
            inputs.forEach(Matrix::close);
            hidden.close();
            forgetGradient();
        }
    }

    /**
     * Prepares passes over a model.
     *
     * @param sequences of a part
     * @param parts that this device computes
     * @param kept layers whose forward passes are kept, at least 1
     */
    public DivergencePass(
            TunedModel model, GradientOperations operations, int sequences, int length, int parts, int kept) {
        this.model = model;
        this.config = model.config();
        this.operations = operations;
        this.forward = operations.layers();
        this.rows = Math.multiplyExact(sequences, length);
        this.layers = new LayerPass(config, operations, sequences, length);
        this.parts = IntStream.range(0, parts)
                .mapToObj(_ -> new Part(forward, config, rows, kept))
                .toList();
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
        if (config.architecture().headNorm() == HeadNorm.CENTERED) {
            return Optional.of("models whose norms of heads subtract a mean");
        }
        return config.architecture().biasesNorms() ? Optional.of("models whose norms have a bias") : Optional.empty();
    }

    /** Returns the floats that a token takes on a layer's tape. */
    public static long tapeColumns(ModelConfig config) {
        return LayerTape.columns(config);
    }

    /**
     * Adds the gradient of the mean divergence to the parameters.
     *
     * @param ids of the sequences, one after another, those of the first part first
     * @param original the original model's states after its final norm, a matrix for each part
     * @param share of the mean that each part is
     * @param whole told of parameters once their gradients are whole and their layer no longer used; may move them
     * @return Σ of the divergence over the tokens of each part, in nats
     */
    public double[] add(int[] ids, List<Matrix> original, double share, Consumer<List<Parameter>> whole) {
        int count = config.layers();
        for (int p = 0; p < parts.size(); p++) {
            embed(Arrays.copyOfRange(ids, p * rows, (p + 1) * rows), parts.get(p).hidden);
        }
        for (int i = 0; i < count; i++) {
            try (LayerWeights layer = weights(i, Math.min(i + 1, count - 1))) {
                for (Part part : parts) {
                    if (i < part.inputs.size()) {
                        forward.copyRows(part.hidden, 0, rows, part.inputs.get(i), 0);
                    }
                    layers.forward(layer, part.hidden, part.tape(i));
                }
            }
        }
        double[] divergences = new double[parts.size()];
        for (int p = 0; p < divergences.length; p++) {
            divergences[p] = ends(parts.get(p), original.get(p), (float) (share / rows));
        }
        whole.accept(List.of(model.finalNorm()));
        for (int i = count - 1; i >= 0; i--) {
            try (LayerWeights layer = weights(i, Math.max(i - 1, 0))) {
                for (Part part : parts) {
                    if (i < part.inputs.size()) {
                        forward.copyRows(part.inputs.get(i), 0, rows, part.hidden, 0);
                        layers.forward(layer, part.hidden, part.tape(i));
                    }
                    layers.backward(layer, part.tape(i), part.gradient());
                }
            }
            whole.accept(model.layers().get(i).parameters());
        }
        parts.forEach(Part::forgetGradient);
        return divergences;
    }

    /** The divergence of a part, whose gradient becomes that of what the last layer gave. */
    private double ends(Part part, Matrix original, float factor) {
        Parameter finalNorm = model.finalNorm();
        boolean centers = config.architecture().centersNorms();
        if (centers) {
            operations.center(part.hidden);
        }
        operations.rmsNorm(part.hidden, finalNorm, config.streamNormEps(), normed);
        float cap = (float) config.multipliers().logitCap();
        double divergence = operations.divergence(model.head(), cap, original, normed, factor, dNormed);
        Matrix gradient = forward.allocate(rows, config.hiddenSize());
        part.gradient = gradient;
        operations.addRmsNorm(part.hidden, finalNorm, config.streamNormEps(), dNormed, gradient);
        if (centers) {
            operations.center(gradient);
        }
        return divergence;
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

    @Override
    public void close() {
        layers.close();
        parts.forEach(Part::close);
        normed.close();
        dNormed.close();
    }
}
