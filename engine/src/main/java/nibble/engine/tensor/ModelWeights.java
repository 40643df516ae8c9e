package nibble.engine.tensor;

import java.util.ArrayList;
import java.util.List;
import nibble.checkpoint.Checkpoint;
import nibble.checkpoint.model.Architecture;
import nibble.checkpoint.model.ModelConfig;
import nibble.checkpoint.model.TensorNames;

/**
 * Holds all weights of a model.
 *
 * @param embedding [vocabulary, hidden]
 * @param finalNorm before the head, gain and bias times the factor of logits
 * @param head [vocabulary, hidden]; the embedding itself where the model ties them
 * @param rule what becomes of the head's products
 */
public record ModelWeights(
        ModelConfig config, Weight embedding, List<DecoderLayer> layers, Norm finalNorm, Weight head, LogitRule rule) {
    public ModelWeights {
        layers = List.copyOf(layers);
    }

    /** Holds weights of a model whose head has no bias. */
    public ModelWeights(ModelConfig config, Weight embedding, List<DecoderLayer> layers, Norm finalNorm, Weight head) {
        this(config, embedding, layers, finalNorm, head, LogitRule.capped((float)
                config.multipliers().logitCap()));
    }

    /**
     * Returns the weights of a checkpoint, which must stay open while they are used: they are views of its mapped
     * files.
     */
    public static ModelWeights read(Checkpoint checkpoint) {
        ModelConfig config = checkpoint.config();
        Weight embedding = embedding(checkpoint);
        List<DecoderLayer> layers = new ArrayList<>();
        for (int layer = 0; layer < config.layers(); layer++) {
            layers.add(DecoderLayer.read(checkpoint, layer));
        }
        return new ModelWeights(
                config,
                embedding,
                layers,
                finalNorm(checkpoint),
                config.tiedEmbeddings() ? embedding : StoredWeights.matrix(checkpoint, TensorNames.HEAD),
                LogitRule.read(checkpoint));
    }

    /**
     * Returns the same weights in the forms that a card takes: dense and AWQ as they are, others as {@link
     * StoredWeights}.
     */
    public ModelWeights expanded() {
        Weight shared = StoredWeights.expanded(embedding);
        return new ModelWeights(
                config,
                shared,
                layers.stream().map(layer -> layer.map(StoredWeights::expanded)).toList(),
                finalNorm,
                head == embedding ? shared : StoredWeights.expanded(head),
                rule);
    }

    /** Returns the same model with another head. */
    public ModelWeights withHead(Weight other) {
        return new ModelWeights(config, embedding, layers, finalNorm, other, rule);
    }

    /** Returns a model of some of the layers, with the same embedding, norm and head. */
    public ModelWeights part(int from, int to) {
        return new ModelWeights(
                config.withLayers(to - from), embedding, layers.subList(from, to), finalNorm, head, rule);
    }

    /** Returns the last layers, with the head in the embedding's place: what enters them has passed it. */
    public ModelWeights last(int from) {
        ModelWeights part = part(from, layers.size());
        return new ModelWeights(part.config, head, part.layers, finalNorm, head, rule);
    }

    /** Reads only the embedding. */
    public static Weight embedding(Checkpoint checkpoint) {
        return StoredWeights.matrix(checkpoint, TensorNames.EMBEDDING);
    }

    /** Reads only the head, which may be the embedding. */
    public static Weight head(Checkpoint checkpoint) {
        return StoredWeights.matrix(
                checkpoint, checkpoint.config().tiedEmbeddings() ? TensorNames.EMBEDDING : TensorNames.HEAD);
    }

    /** Reads only the norm before the head, gain and bias times the factor of logits. */
    public static Norm finalNorm(Checkpoint checkpoint) {
        Architecture architecture = checkpoint.config().architecture();
        float scale = checkpoint.config().finalGainScale();
        return new Norm(
                scaled(DecoderLayer.norm(checkpoint, TensorNames.FINAL_NORM), scale),
                architecture.biasesNorms()
                        ? scaled(DecoderLayer.vector(checkpoint.tensor(TensorNames.FINAL_NORM_BIAS)), scale)
                        : new float[0],
                architecture.centersNorms());
    }

    private static float[] scaled(float[] values, float factor) {
        for (int i = 0; i < values.length; i++) {
            values[i] *= factor;
        }
        return values;
    }
}
