package nibble.engine;

import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import java.util.ArrayList;
import java.util.Collections;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import java.util.Set;
import nibble.checkpoint.gguf.GgufType;
import nibble.checkpoint.model.Architecture;
import nibble.checkpoint.model.Experts;
import nibble.checkpoint.model.Linear;
import nibble.checkpoint.model.MixtureFamily;
import nibble.checkpoint.model.ModelConfig;
import nibble.checkpoint.model.layer.HeadNorm;
import nibble.checkpoint.model.layer.LayerAttention;
import nibble.checkpoint.model.layer.Multipliers;
import nibble.checkpoint.model.layer.Rope;
import nibble.checkpoint.tensor.DType;
import nibble.engine.tensor.DecoderLayer;
import nibble.engine.tensor.ExpertMlps;
import nibble.engine.tensor.FeedForward;
import nibble.engine.tensor.LayerExtras;
import nibble.engine.tensor.Mlp;
import nibble.engine.tensor.ModelWeights;
import nibble.engine.tensor.Norm;
import nibble.engine.tensor.Weight;

/** Mixtures of seeded random numbers, of extents that CUDA can compute with. */
public enum RandomMixture {
    /** As Qwen3 has them, more experts than half a block of threads. */
    CODES_OF_MANY_EXPERTS(MixtureFamily.QWEN3_MOE, new Experts.Shared(0, false), 160, 8, 96, true, Set.of(), 32),
    /** As Qwen2 has them: biases, a shared expert behind a gate, weights whose sum is not 1, one MLP in a layer. */
    CODES_WITH_A_SHARED_EXPERT(
            MixtureFamily.QWEN2_MOE, new Experts.Shared(352, true), 12, 3, 288, false, Set.of(1), 32),
    /** As OLMoE has them: a norm over all heads. */
    HALVES(MixtureFamily.OLMOE, new Experts.Shared(0, false), 40, 5, 64, false, Set.of(), 0),
    /** As Mixtral has them, with gate and up of one type and down of another. */
    BLOCKS(MixtureFamily.MIXTRAL, new Experts.Shared(0, false), 8, 2, 512, true, Set.of(), -1);

    private static final int HIDDEN = 256;
    private static final int LAYERS = 3;

    private final Architecture architecture;
    private final Experts experts;
    private final int groupSize;

    /** @param groupSize of 4-bit codes, 0 for fp16, -1 for GGUF's blocks */
    RandomMixture(
            Architecture architecture,
            Experts.Shared shared,
            int count,
            int chosen,
            int width,
            boolean normalized,
            Set<Integer> dense,
            int groupSize) {
        this.architecture = architecture;
        this.groupSize = groupSize;
        this.experts = new Experts(
                count, chosen, width, Experts.Choice.ofAll(normalized), shared, dense, Experts.Names.QWEN, false);
    }

    private ModelConfig config() {
        return new ModelConfig(
                architecture,
                HIDDEN,
                512,
                LAYERS,
                4,
                2,
                64,
                101,
                128,
                1e-5,
                Collections.nCopies(
                        LAYERS,
                        new LayerAttention(ModelConfig.NO_WINDOW, Optional.of(new Rope(10000, new Rope.None())))),
                Multipliers.of(64),
                architecture == MixtureFamily.QWEN2_MOE ? Set.of(Linear.Q, Linear.K, Linear.V) : Set.of(),
                Optional.of(experts),
                Optional.empty(),
                false,
                DType.F16,
                1,
                List.of(2),
                Optional.empty(),
                JsonNodeFactory.instance.objectNode());
    }

    /** Makes the model. */
    public ModelWeights weights() {
        ModelConfig config = config();
        Random random = new Random(ordinal());
        List<DecoderLayer> layers = new ArrayList<>();
        for (int layer = 0; layer < LAYERS; layer++) {
            Map<Linear, Weight> attention = new EnumMap<>(Linear.class);
            for (Linear linear : List.of(Linear.Q, Linear.K, Linear.V, Linear.O)) {
                attention.put(linear, weight(random, linear, config.outFeatures(linear), config.inFeatures(linear)));
            }
            FeedForward feedForward = experts.in(layer) ? mixture(random) : mlp(random, config.intermediateSize());
            layers.add(DecoderLayer.of(
                    norm(random, HIDDEN), attention, norm(random, HIDDEN), feedForward, extras(random, config, layer)));
        }
        return new ModelWeights(
                config,
                RandomModel.half(random, config.vocabularySize(), HIDDEN),
                layers,
                new Norm(norm(random, HIDDEN)),
                RandomModel.half(random, config.vocabularySize(), HIDDEN));
    }

    private ExpertMlps mixture(Random random) {
        List<Mlp> routed = new ArrayList<>();
        for (int i = 0; i < experts.count(); i++) {
            routed.add(mlp(random, experts.width()));
        }
        return new ExpertMlps(
                RandomModel.half(random, experts.count(), HIDDEN),
                new float[0],
                routed,
                experts.shared().exists()
                        ? Optional.of(mlp(random, experts.shared().width()))
                        : Optional.empty(),
                experts.shared().gated() ? Optional.of(RandomModel.half(random, 1, HIDDEN)) : Optional.empty());
    }

    private Mlp mlp(Random random, int width) {
        return new Mlp(
                weight(random, Linear.GATE, width, HIDDEN),
                weight(random, Linear.UP, width, HIDDEN),
                weight(random, Linear.DOWN, HIDDEN, width));
    }

    private Weight weight(Random random, Linear linear, int out, int in) {
        return switch (groupSize) {
            case 0 -> RandomModel.half(random, out, in);
            case -1 ->
                RandomModel.blocks(
                        random,
                        linear == Linear.DOWN ? GgufType.Q6_K : GgufType.Q4_K,
                        out,
                        in,
                        linear == Linear.Q || linear == Linear.K ? 64 : 0);
            default -> RandomModel.nibbles(random, out, in, groupSize);
        };
    }

    private LayerExtras extras(Random random, ModelConfig config, int layer) {
        Map<Linear, float[]> biases = new EnumMap<>(Linear.class);
        for (Linear linear : config.biases()) {
            biases.put(linear, RandomModel.halves(RandomModel.values(random, config.outFeatures(linear))));
        }
        return new LayerExtras(
                layer,
                biases,
                architecture.headNorm() == HeadNorm.NONE
                        ? Optional.empty()
                        : Optional.of(new LayerExtras.HeadNorms(
                                norm(random, config.queryNormWidth()), norm(random, config.keyNormWidth()))),
                Map.of(),
                Map.of());
    }

    private static float[] norm(Random random, int n) {
        return RandomModel.halves(RandomModel.norm(random, n));
    }
}
