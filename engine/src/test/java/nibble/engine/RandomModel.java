package nibble.engine;

import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import nibble.convert.DType;
import nibble.convert.LlamaConfig;
import nibble.convert.LlamaLinear;
import nibble.convert.Rope;

/** Small models and matrices of seeded random numbers. */
final class RandomModel {
    private RandomModel() {}

    static LlamaConfig config(Rope.Scaling scaling, int maxPositions) {
        return new LlamaConfig(
                "LlamaForCausalLM",
                48,
                88,
                2,
                6,
                2,
                8,
                101,
                maxPositions,
                1e-5,
                new Rope(10000, scaling),
                false,
                DType.F32,
                1,
                List.of(2),
                Optional.empty(),
                JsonNodeFactory.instance.objectNode());
    }

    static ModelWeights weights(LlamaConfig c, long seed) {
        Random random = new Random(seed);
        List<DecoderLayer> layers = new ArrayList<>();
        for (int layer = 0; layer < c.layers(); layer++) {
            Map<LlamaLinear, Weight> w = new EnumMap<>(LlamaLinear.class);
            for (LlamaLinear linear : LlamaLinear.values()) {
                var shape = c.spec(linear, layer).shape();
                w.put(linear, weight(random, (int) shape.dim(0), (int) shape.dim(1)));
            }
            layers.add(DecoderLayer.of(norm(random, c.hiddenSize()), w, norm(random, c.hiddenSize())));
        }
        return new ModelWeights(
                c,
                weight(random, c.vocabularySize(), c.hiddenSize()),
                layers,
                norm(random, c.hiddenSize()),
                weight(random, c.vocabularySize(), c.hiddenSize()));
    }

    static DenseWeight weight(Random random, int out, int in) {
        float[] values = values(random, out * in);
        float scale = (float) (1 / Math.sqrt(in));
        for (int i = 0; i < values.length; i++) {
            values[i] *= scale;
        }
        return DenseWeight.of("random", values, out, in);
    }

    static float[] norm(Random random, int n) {
        float[] values = values(random, n);
        for (int i = 0; i < n; i++) {
            values[i] = 1 + 0.1f * values[i];
        }
        return values;
    }

    static float[] values(Random random, int n) {
        float[] values = new float[n];
        for (int i = 0; i < n; i++) {
            values[i] = (float) random.nextGaussian();
        }
        return values;
    }

    static int[] ids(long seed, int n, int vocabulary) {
        return new Random(seed).ints(n, 0, vocabulary).toArray();
    }
}
