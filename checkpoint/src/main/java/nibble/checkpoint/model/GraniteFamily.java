package nibble.checkpoint.model;

import java.util.List;
import java.util.Set;
import nibble.checkpoint.model.keys.ConfigDefaults;
import nibble.checkpoint.model.layer.Multipliers;
import nibble.checkpoint.source.BadCheckpointException;
import nibble.checkpoint.source.ConfigKeys;

/** Holds Granite: factors of embeddings, scores, halves of layers and logits. */
public final class GraniteFamily {
    private static final Set<String> MULTIPLIERS =
            Set.of("embedding_multiplier", "attention_multiplier", "residual_multiplier", "logits_scaling");

    private static final Set<String> MULTIPLIERS_AND_MLP_BIAS =
            Set.of("embedding_multiplier", "attention_multiplier", "residual_multiplier", "logits_scaling", "mlp_bias");

    private static final GgufTraits GGUF = new GgufTraits("granite")
            .withNeighbours()
            .withSquareHeads()
            .withAllBiases()
            .withKeys(GgufTraits.SCORE, GgufTraits.EMBEDDING, GgufTraits.RESIDUAL, GgufTraits.LOGITS);

    /** Granite 3. */
    public static final Architecture GRANITE = new Granite("GraniteForCausalLM", "granite") {
        @Override
        Set<String> ownKeys() {
            return MULTIPLIERS_AND_MLP_BIAS;
        }
    };

    /** Granite 4 without experts and without Mamba layers: gate and up in one tensor, rope in all layers or in none. */
    public static final Architecture GRANITE_HYBRID = new Granite("GraniteMoeHybridForCausalLM", "granitemoehybrid") {
        private static final List<LinearModule> FUSED = List.of(
                LinearModule.of(Linear.Q),
                LinearModule.of(Linear.K),
                LinearModule.of(Linear.V),
                LinearModule.of(Linear.O),
                new LinearModule("shared_mlp.input_linear", List.of(Linear.GATE, Linear.UP)),
                new LinearModule("shared_mlp.output_linear", List.of(Linear.DOWN)));

        @Override
        public List<LinearModule> modules() {
            return FUSED;
        }

        @Override
        public String intermediateKey() {
            return "shared_intermediate_size";
        }

        @Override
        boolean hasRope(ConfigKeys keys, int layer) {
            return keys.text("position_embedding_type").orElse("").equals("rope");
        }

        @Override
        Multipliers multipliers(ConfigKeys keys, int hiddenSize, int headDim) {
            if (keys.integerIfPresent("num_local_experts", 0, Integer.MAX_VALUE).orElse(8) > 0) {
                throw new BadCheckpointException(
                        keys.file(), "num_local_experts above 0 is not supported; supported: 0, a dense model");
            }
            if (keys.value("layer_types")
                    .or(() -> keys.value("layers_block_type"))
                    .isEmpty()) {
                // transformers' default is Mamba in all layers.
                throw keys.missing("layer_types");
            }
            return super.multipliers(keys, hiddenSize, headDim);
        }
    };

    static final List<Architecture> ALL = List.of(GRANITE, GRANITE_HYBRID);

    private GraniteFamily() {}

    private static class Granite extends Architecture {
        Granite(String className, String modelType) {
            super(className, modelType, GGUF, new ConfigDefaults(2048, List.of(1), List.of(2)));
        }

        @Override
        Set<String> ownKeys() {
            return MULTIPLIERS;
        }

        @Override
        Multipliers multipliers(ConfigKeys keys, int hiddenSize, int headDim) {
            return super.multipliers(keys, hiddenSize, headDim)
                    .withEmbedding(factor(keys, "embedding_multiplier"))
                    .withResidual(factor(keys, "residual_multiplier"))
                    .withScore(factor(keys, "attention_multiplier"))
                    .withLogits(1 / factor(keys, "logits_scaling"));
        }

        private static double factor(ConfigKeys keys, String key) {
            return keys.numberIfPresent(key, 1e-9, 1e9).orElse(1.0);
        }
    }
}
