package nibble.checkpoint.model;

import java.util.LinkedHashMap;
import java.util.Optional;
import java.util.SequencedMap;
import nibble.checkpoint.model.layer.LayerNorm;
import nibble.checkpoint.model.layer.LayerVector;
import nibble.checkpoint.tensor.Shape;
import nibble.checkpoint.tensor.TensorSpec;

/** Names the vectors of a layer beside the gains of norms: biases, and what only some architectures have. */
record VectorTensors(ModelConfig config) {
    /** {@link ModelConfig#vector}. */
    Optional<TensorSpec> vector(LayerVector vector, int layer) {
        return switch (vector) {
            case ATTENTION_IN_BIAS -> normBias(LayerNorm.ATTENTION_IN, layer);
            case MLP_IN_BIAS -> normBias(LayerNorm.MLP_IN, layer);
            case SINKS ->
                Optional.of(spec(TensorNames.sinks(layer), config.heads()))
                        .filter(_ -> config.architecture().hasSinks());
            case ROUTER_BIAS ->
                config.experts(layer)
                        .filter(Experts::hasRouterBias)
                        .map(found -> spec(found.routerBias(layer), found.count()));
        };
    }

    private TensorSpec spec(String name, int length) {
        return new TensorSpec(name, TensorNames.type(name, config.dtype()), Shape.of(length));
    }

    private Optional<TensorSpec> normBias(LayerNorm norm, int layer) {
        return Optional.ofNullable(config.architecture().norms().get(norm))
                .filter(_ -> config.architecture().biasesNorms())
                .map(name -> spec(TensorNames.layer(layer) + name + ".bias", config.hiddenSize()));
    }

    /** {@link ModelConfig#bias(LayerLinear, int)}. */
    Optional<TensorSpec> bias(LayerLinear linear, int layer) {
        int out = config.outFeatures(linear.linear(), linear.expert());
        if (linear.expert().isPart()) {
            return config.experts(layer)
                    .filter(Experts::biased)
                    .map(found -> found.names().path(linear.linear(), linear.expert()))
                    .map(path -> spec(TensorNames.layer(layer) + path + ".bias", out));
        }
        return Optional.of(spec(linear.linear().module(layer) + ".bias", out))
                .filter(_ -> config.biases().contains(linear.linear()));
    }

    /** {@link ModelConfig#biases(int)}. */
    SequencedMap<LayerLinear, TensorSpec> biases(int layer) {
        SequencedMap<LayerLinear, TensorSpec> all = new LinkedHashMap<>();
        for (LinearModule module : config.modules(layer)) {
            for (Linear part : module.parts()) {
                LayerLinear linear = new LayerLinear(part, module.expert());
                bias(linear, layer).ifPresent(spec -> all.put(linear, spec));
            }
        }
        return all;
    }
}
