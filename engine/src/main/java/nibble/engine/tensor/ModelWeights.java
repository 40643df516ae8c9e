package nibble.engine.tensor;

import java.util.ArrayList;
import java.util.List;
import nibble.checkpoint.Checkpoint;
import nibble.checkpoint.model.ModelConfig;
import nibble.checkpoint.model.TensorNames;

/**
 * All weights of a model.
 *
 * @param embedding [vocabulary, hidden]
 * @param finalNorm RMSNorm gain before the head, [hidden]
 * @param head [vocabulary, hidden]; the embedding itself where the model ties them
 */
public record ModelWeights(
        ModelConfig config, DenseWeight embedding, List<DecoderLayer> layers, float[] finalNorm, DenseWeight head) {
    public ModelWeights {
        layers = List.copyOf(layers);
    }

    /** The weights of a dense or AWQ checkpoint, which must stay open while they are used. */
    public static ModelWeights read(Checkpoint checkpoint) {
        ModelConfig config = checkpoint.config();
        DenseWeight embedding = new DenseWeight(checkpoint.tensor(TensorNames.EMBEDDING));
        List<DecoderLayer> layers = new ArrayList<>();
        for (int layer = 0; layer < config.layers(); layer++) {
            layers.add(DecoderLayer.read(checkpoint, layer));
        }
        return new ModelWeights(
                config,
                embedding,
                layers,
                DecoderLayer.norm(checkpoint, TensorNames.FINAL_NORM),
                config.tiedEmbeddings() ? embedding : new DenseWeight(checkpoint.tensor(TensorNames.HEAD)));
    }
}
