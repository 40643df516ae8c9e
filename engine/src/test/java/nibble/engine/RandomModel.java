package nibble.engine;

import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import java.util.Set;
import nibble.checkpoint.model.Architecture;
import nibble.checkpoint.model.Linear;
import nibble.checkpoint.model.ModelConfig;
import nibble.checkpoint.model.Rope;
import nibble.checkpoint.tensor.DType;
import nibble.engine.tensor.DecoderLayer;
import nibble.engine.tensor.DenseWeight;
import nibble.engine.tensor.ModelWeights;
import nibble.engine.tensor.QuantizedWeight;
import nibble.engine.tensor.Weight;
import nibble.pack.QuantizationSpec;
import nibble.pack.QuantizedLinear;

/** Small models and matrices of seeded random numbers. */
public final class RandomModel {
    private RandomModel() {}

    public static ModelConfig config(Rope.Scaling scaling, int maxPositions) {
        return config(scaling, maxPositions, ModelConfig.NO_WINDOW);
    }

    public static ModelConfig config(Rope.Scaling scaling, int maxPositions, int window) {
        return new ModelConfig(
                Architecture.LLAMA,
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
                window,
                Set.of(),
                false,
                DType.F32,
                1,
                List.of(2),
                Optional.empty(),
                JsonNodeFactory.instance.objectNode());
    }

    public static ModelWeights weights(ModelConfig c, long seed) {
        Random random = new Random(seed);
        List<DecoderLayer> layers = new ArrayList<>();
        for (int layer = 0; layer < c.layers(); layer++) {
            Map<Linear, Weight> w = new EnumMap<>(Linear.class);
            for (Linear linear : Linear.values()) {
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

    /**
     * A model of extents that CUDA can compute with: fp16 weights, or 4-bit ones.
     *
     * @param groupSize 0 for fp16
     */
    public static ModelWeights forCuda(int groupSize, int layers) {
        ModelConfig c = new ModelConfig(
                Architecture.LLAMA,
                256,
                384,
                layers,
                4,
                2,
                64,
                101,
                128,
                1e-5,
                new Rope(10000, new Rope.None()),
                ModelConfig.NO_WINDOW,
                Set.of(),
                false,
                DType.F16,
                1,
                List.of(2),
                Optional.empty(),
                JsonNodeFactory.instance.objectNode());
        Random random = new Random(layers);
        List<DecoderLayer> made = new ArrayList<>();
        for (int layer = 0; layer < layers; layer++) {
            Map<Linear, Weight> w = new EnumMap<>(Linear.class);
            for (Linear linear : Linear.values()) {
                int out = c.outFeatures(linear);
                int in = c.inFeatures(linear);
                w.put(linear, groupSize == 0 ? half(random, out, in) : nibbles(random, out, in, groupSize));
            }
            made.add(DecoderLayer.of(halves(norm(random, c.hiddenSize())), w, halves(norm(random, c.hiddenSize()))));
        }
        return new ModelWeights(
                c,
                half(random, c.vocabularySize(), c.hiddenSize()),
                made,
                halves(norm(random, c.hiddenSize())),
                half(random, c.vocabularySize(), c.hiddenSize()));
    }

    private static DenseWeight half(Random random, int out, int in) {
        float[] values = values(random, out * in);
        for (int i = 0; i < values.length; i++) {
            values[i] /= (float) Math.sqrt(in);
        }
        return DenseWeight.of("random", halves(values), out, in);
    }

    private static float[] halves(float[] values) {
        for (int i = 0; i < values.length; i++) {
            values[i] = Float.float16ToFloat(Float.floatToFloat16(values[i]));
        }
        return values;
    }

    private static QuantizedWeight nibbles(Random random, int out, int in, int groupSize) {
        QuantizationSpec spec = new QuantizationSpec(4, groupSize);
        byte[] codes = new byte[out * in / 2];
        random.nextBytes(codes);
        byte[] zeros = new byte[out * spec.groups(in)];
        short[] scales = new short[zeros.length];
        for (int i = 0; i < zeros.length; i++) {
            zeros[i] = (byte) (6 + random.nextInt(4));
            scales[i] = Float.floatToFloat16((float) ((0.5 + random.nextDouble()) / 4.6 / Math.sqrt(in)));
        }
        return new QuantizedWeight(new QuantizedLinear(out, in, spec, codes, zeros, scales));
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

    public static int[] ids(long seed, int n, int vocabulary) {
        return new Random(seed).ints(n, 0, vocabulary).toArray();
    }
}
