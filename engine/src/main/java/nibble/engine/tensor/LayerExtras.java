package nibble.engine.tensor;

import java.util.EnumMap;
import java.util.Map;
import java.util.Optional;
import nibble.checkpoint.Checkpoint;
import nibble.checkpoint.model.Linear;
import nibble.checkpoint.model.ModelConfig;
import nibble.checkpoint.model.TensorNames;

/**
 * Holds what some architectures have in a decoder layer beside its two norms and seven linears. Small vectors on the
 * host; a device keeps its own copies.
 *
 * @param biases [out] of the linears that have one
 * @param headNorms where query and key heads pass a norm before rope
 */
public record LayerExtras(Map<Linear, float[]> biases, Optional<HeadNorms> headNorms) {
    public static final LayerExtras NONE = new LayerExtras(Map.of(), Optional.empty());

    /**
     * Holds RMSNorm gains of all query heads and of all key heads of a layer.
     *
     * @param query [head_dim]
     * @param key [head_dim]
     */
    public record HeadNorms(float[] query, float[] key) {}

    public LayerExtras {
        biases = Map.copyOf(biases);
    }

    public boolean isEmpty() {
        return biases.isEmpty() && headNorms.isEmpty();
    }

    /** Of layer {@code layer} of a checkpoint. */
    static LayerExtras read(Checkpoint checkpoint, int layer) {
        ModelConfig config = checkpoint.config();
        boolean norms = config.architecture().normalizesHeads();
        if (config.biases().isEmpty() && !norms) {
            return NONE;
        }
        Map<Linear, float[]> biases = new EnumMap<>(Linear.class);
        for (Linear linear : config.biases()) {
            config.bias(linear, layer)
                    .ifPresent(bias -> biases.put(linear, DecoderLayer.vector(checkpoint.tensor(bias.name()))));
        }
        return new LayerExtras(
                biases,
                norms
                        ? Optional.of(new HeadNorms(
                                DecoderLayer.norm(checkpoint, TensorNames.queryNorm(layer)),
                                DecoderLayer.norm(checkpoint, TensorNames.keyNorm(layer))))
                        : Optional.empty());
    }
}
