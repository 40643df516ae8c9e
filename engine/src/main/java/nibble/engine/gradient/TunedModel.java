package nibble.engine.gradient;

import java.util.ArrayList;
import java.util.List;
import nibble.checkpoint.model.ModelConfig;
import nibble.engine.tensor.ModelWeights;
import nibble.engine.tensor.Weight;

/**
 * A quantized model whose scales and norms are tuned; embedding and head stay.
 *
 * @param finalNorm gain
 */
public record TunedModel(
        ModelConfig config, Weight embedding, List<TunedLayer> layers, Parameter finalNorm, Weight head) {
    /** Begins with a model of codes and scales. */
    public static TunedModel of(ModelWeights weights) {
        return new TunedModel(
                weights.config(),
                weights.embedding(),
                weights.layers().stream().map(TunedLayer::of).toList(),
                new Parameter(weights.finalNorm().clone()),
                weights.head());
    }

    /** Everything that is tuned, in a fixed order. */
    public List<Parameter> parameters() {
        List<Parameter> all = new ArrayList<>();
        layers.forEach(layer -> all.addAll(layer.parameters()));
        all.add(finalNorm);
        return all;
    }
}
