package nibble.checkpoint.model;

import java.util.ArrayList;
import java.util.List;
import java.util.stream.IntStream;
import nibble.checkpoint.model.layer.HeadNorm;
import nibble.checkpoint.model.layer.LayerNorm;
import nibble.checkpoint.model.layer.LayerVector;
import nibble.checkpoint.tensor.Shape;
import nibble.checkpoint.tensor.TensorSpec;

/** Lists the tensors of an unquantized model. */
record ModelTensors(ModelConfig config) {
    /** {@link ModelConfig#tensors()}. */
    List<TensorSpec> all() {
        List<TensorSpec> specs = new ArrayList<>();
        specs.add(new TensorSpec(
                TensorNames.EMBEDDING, config.dtype(), Shape.of(config.vocabularySize(), config.hiddenSize())));
        for (int layer = 0; layer < config.layers(); layer++) {
            specs.addAll(ofLayer(layer));
        }
        specs.add(norm(TensorNames.FINAL_NORM));
        if (config.architecture().biasesNorms()) {
            specs.add(norm(TensorNames.FINAL_NORM_BIAS));
        }
        if (!config.tiedEmbeddings()) {
            specs.add(new TensorSpec(
                    TensorNames.HEAD, config.dtype(), Shape.of(config.vocabularySize(), config.hiddenSize())));
        }
        return List.copyOf(specs);
    }

    /** {@link ModelConfig#tensors(int)}. */
    List<TensorSpec> ofLayer(int layer) {
        List<TensorSpec> specs = new ArrayList<>();
        config.norm(LayerNorm.ATTENTION_IN, layer).ifPresent(name -> specs.add(norm(name)));
        config.vector(LayerVector.ATTENTION_IN_BIAS, layer).ifPresent(specs::add);
        boolean normed = false;
        for (LinearModule module : config.modules(layer)) {
            if (module.parts().contains(Linear.O) && config.architecture().headNorm() != HeadNorm.NONE) {
                specs.add(new TensorSpec(
                        TensorNames.queryNorm(layer), config.dtype(), Shape.of(config.queryNormWidth())));
                specs.add(new TensorSpec(TensorNames.keyNorm(layer), config.dtype(), Shape.of(config.keyNormWidth())));
            }
            if (module.isMlp() && !normed) {
                normed = true;
                config.norm(LayerNorm.ATTENTION_OUT, layer).ifPresent(name -> specs.add(norm(name)));
                config.norm(LayerNorm.MLP_IN, layer).ifPresent(name -> specs.add(norm(name)));
                config.vector(LayerVector.MLP_IN_BIAS, layer).ifPresent(specs::add);
                config.experts(layer).ifPresent(found -> specs.addAll(gates(found, layer)));
                config.vector(LayerVector.ROUTER_BIAS, layer).ifPresent(specs::add);
            }
            specs.add(config.spec(module, layer));
            module.parts()
                    .forEach(part -> config.bias(new LayerLinear(part, module.expert()), layer)
                            .ifPresent(specs::add));
            if (module.parts().contains(Linear.O)) {
                config.vector(LayerVector.SINKS, layer).ifPresent(specs::add);
            }
        }
        config.norm(LayerNorm.MLP_OUT, layer).ifPresent(name -> specs.add(norm(name)));
        return specs;
    }

    /** The matrices that choose and weigh experts. */
    private List<TensorSpec> gates(Experts found, int layer) {
        List<TensorSpec> gates = new ArrayList<>();
        gates.add(new TensorSpec(found.router(layer), config.dtype(), Shape.of(found.count(), config.hiddenSize())));
        if (found.shared().gated()) {
            gates.add(new TensorSpec(found.sharedGate(layer), config.dtype(), Shape.of(1, config.hiddenSize())));
        }
        return gates;
    }

    /** {@link ModelConfig#gates}. */
    List<String> gates() {
        String weight = ".weight";
        return IntStream.range(0, config.layers())
                .boxed()
                .flatMap(layer -> config.experts(layer).stream().flatMap(found -> gates(found, layer).stream()))
                .map(gate -> gate.name().substring(0, gate.name().length() - weight.length()))
                .toList();
    }

    private TensorSpec norm(String name) {
        return new TensorSpec(name, config.dtype(), Shape.of(config.hiddenSize()));
    }
}
