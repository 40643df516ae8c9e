package nibble.checkpoint.model;

import java.util.ArrayList;
import java.util.List;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import nibble.checkpoint.model.layer.HeadNorm;
import nibble.checkpoint.model.layer.LatentAttention;
import nibble.checkpoint.model.layer.LayerNorm;
import nibble.checkpoint.model.layer.LayerVector;
import nibble.checkpoint.tensor.Shape;
import nibble.checkpoint.tensor.TensorSpec;

/** Lists the tensors of an unquantized model. */
record ModelTensors(ModelConfig config) {
    /** {@link ModelConfig#outFeatures(Linear, Expert)}. */
    int rows(Linear linear, Expert expert) {
        int heads = config.heads();
        return switch (linear) {
            case Q, Q_B -> heads * config.headDim();
            case Q_A -> width(LinearInput.QUERY_LATENT);
            case K, V -> config.kvHeads() * config.headDim();
            case KV_A ->
                config.latent().map(from -> from.rank() + from.turned()).orElse(0);
            case KV_B ->
                config.latent()
                        .map(from -> heads * (from.plain() + from.value()))
                        .orElse(0);
            case O, DOWN -> config.hiddenSize();
            case GATE, UP -> config.width(LinearInput.DOWN, expert);
        };
    }

    /** {@link ModelConfig#width(LinearInput)}. */
    int width(LinearInput input) {
        return switch (input) {
            case QKV, GATE_UP -> config.hiddenSize();
            case QUERY_LATENT -> config.latent().map(LatentAttention::queryRank).orElse(0);
            case KEY_VALUE_LATENT -> config.latent().map(LatentAttention::rank).orElse(0);
            case O -> config.heads() * config.valueDim();
            case DOWN -> config.intermediateSize();
        };
    }

    /** {@link ModelConfig#normWidth}. */
    int width(LayerNorm norm) {
        if (!config.architecture().norms().containsKey(norm)) {
            return 0;
        }
        return switch (norm) {
            case QUERY_LATENT -> width(LinearInput.QUERY_LATENT);
            case KEY_VALUE_LATENT -> width(LinearInput.KEY_VALUE_LATENT);
            case ATTENTION_IN, ATTENTION_OUT, MLP_IN, MLP_OUT -> config.hiddenSize();
        };
    }

    /** The values that the norm of so many heads has a gain for; 0 where there is none. */
    int headNormWidth(int heads) {
        return switch (config.architecture().headNorm()) {
            case NONE, WITHOUT_GAIN -> 0;
            case EACH_HEAD -> config.headDim();
            case ALL_HEADS, CENTERED -> heads * config.headDim();
        };
    }

    private Shape headNorm(int heads) {
        return config.architecture().headNorm() == HeadNorm.CENTERED
                ? Shape.of(heads, config.headDim())
                : Shape.of(headNormWidth(heads));
    }

    /** {@link ModelConfig#tensors()}. */
    List<TensorSpec> all() {
        List<TensorSpec> specs = new ArrayList<>();
        specs.add(new TensorSpec(
                TensorNames.EMBEDDING, config.dtype(), Shape.of(config.vocabularySize(), config.hiddenSize())));
        for (int layer = 0; layer < config.layers(); layer++) {
            specs.addAll(ofLayer(layer));
        }
        specs.add(new TensorSpec(TensorNames.FINAL_NORM, config.dtype(), Shape.of(config.hiddenSize())));
        if (config.architecture().biasesNorms()) {
            specs.add(new TensorSpec(TensorNames.FINAL_NORM_BIAS, config.dtype(), Shape.of(config.hiddenSize())));
        }
        if (!config.tiedEmbeddings()) {
            specs.add(new TensorSpec(
                    TensorNames.HEAD, config.dtype(), Shape.of(config.vocabularySize(), config.hiddenSize())));
        }
        if (config.architecture().biasesHead(config.json())) {
            specs.add(new TensorSpec(TensorNames.HEAD_BIAS, config.dtype(), Shape.of(config.vocabularySize())));
        }
        return List.copyOf(specs);
    }

    /** {@link ModelConfig#tensors(int)}. */
    List<TensorSpec> ofLayer(int layer) {
        List<TensorSpec> specs = new ArrayList<>();
        addNorm(specs, LayerNorm.ATTENTION_IN, layer);
        config.vector(LayerVector.ATTENTION_IN_BIAS, layer).ifPresent(specs::add);
        boolean normed = false;
        for (LinearModule module : config.modules(layer)) {
            if (module.parts().contains(Linear.O)
                    && config.architecture().headNorm().isStored()) {
                specs.add(new TensorSpec(TensorNames.queryNorm(layer), config.dtype(), headNorm(config.heads())));
                specs.add(new TensorSpec(TensorNames.keyNorm(layer), config.dtype(), headNorm(config.kvHeads())));
            }
            if (module.isMlp() && !normed) {
                normed = true;
                addNorm(specs, LayerNorm.ATTENTION_OUT, layer);
                addNorm(specs, LayerNorm.MLP_IN, layer);
                config.vector(LayerVector.MLP_IN_BIAS, layer).ifPresent(specs::add);
                config.experts(layer).ifPresent(found -> specs.addAll(gates(found, layer)));
                config.vector(LayerVector.ROUTER_BIAS, layer).ifPresent(specs::add);
            }
            switch (module.input()) {
                case QUERY_LATENT -> addNorm(specs, LayerNorm.QUERY_LATENT, layer);
                case KEY_VALUE_LATENT -> addNorm(specs, LayerNorm.KEY_VALUE_LATENT, layer);
                case QKV, O, GATE_UP, DOWN -> {}
            }
            specs.add(config.spec(module, layer));
            module.parts()
                    .forEach(part -> config.bias(new LayerLinear(part, module.expert()), layer)
                            .ifPresent(specs::add));
            if (module.parts().contains(Linear.O)) {
                config.vector(LayerVector.SINKS, layer).ifPresent(specs::add);
            }
        }
        addNorm(specs, LayerNorm.MLP_OUT, layer);
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
        Stream<String> stored = layersWithExperts()
                .flatMap(layer -> gates(config.experts(layer).orElseThrow(), layer).stream())
                .map(gate -> gate.name().substring(0, gate.name().length() - weight.length()));
        Stream<String> loaded = config.architecture().loadedRouter().stream()
                .flatMap(name -> layersWithExperts().map(layer -> TensorNames.layer(layer) + name));
        return Stream.concat(stored, loaded).toList();
    }

    private Stream<Integer> layersWithExperts() {
        return IntStream.range(0, config.layers())
                .boxed()
                .filter(layer -> config.experts(layer).isPresent());
    }

    private void addNorm(List<TensorSpec> specs, LayerNorm norm, int layer) {
        config.norm(norm, layer)
                .ifPresent(name -> specs.add(new TensorSpec(name, config.dtype(), Shape.of(width(norm)))));
    }
}
