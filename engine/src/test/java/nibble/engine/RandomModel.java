package nibble.engine;

import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.Collections;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import java.util.Set;
import java.util.function.BiFunction;
import nibble.checkpoint.gguf.GgufBlocks;
import nibble.checkpoint.gguf.GgufType;
import nibble.checkpoint.model.Linear;
import nibble.checkpoint.model.LlamaFamily;
import nibble.checkpoint.model.ModelConfig;
import nibble.checkpoint.model.layer.LayerAttention;
import nibble.checkpoint.model.layer.Multipliers;
import nibble.checkpoint.model.layer.Rope;
import nibble.checkpoint.tensor.DType;
import nibble.engine.tensor.BlockWeight;
import nibble.engine.tensor.DecoderLayer;
import nibble.engine.tensor.DenseWeight;
import nibble.engine.tensor.ModelWeights;
import nibble.engine.tensor.Norm;
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
                LlamaFamily.LLAMA,
                48,
                88,
                2,
                6,
                2,
                8,
                101,
                maxPositions,
                1e-5,
                Collections.nCopies(2, new LayerAttention(window, Optional.of(new Rope(10000, scaling)))),
                Multipliers.of(8),
                Set.of(),
                Optional.empty(),
                Optional.empty(),
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
            for (Linear linear : Linear.SEVEN) {
                var shape = c.spec(linear, layer).shape();
                w.put(linear, weight(random, (int) shape.dim(0), (int) shape.dim(1)));
            }
            layers.add(DecoderLayer.of(norm(random, c.hiddenSize()), w, norm(random, c.hiddenSize())));
        }
        return new ModelWeights(
                c,
                weight(random, c.vocabularySize(), c.hiddenSize()),
                layers,
                new Norm(norm(random, c.hiddenSize())),
                weight(random, c.vocabularySize(), c.hiddenSize()));
    }

    /**
     * A model of extents that CUDA can compute with: fp16 weights, or 4-bit ones.
     *
     * @param groupSize 0 for fp16
     */
    public static ModelWeights forCuda(int groupSize, int layers) {
        ModelConfig c = configForCuda(384, layers);
        Random random = new Random(layers);
        List<DecoderLayer> made = new ArrayList<>();
        for (int layer = 0; layer < layers; layer++) {
            Map<Linear, Weight> w = new EnumMap<>(Linear.class);
            for (Linear linear : Linear.SEVEN) {
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
                new Norm(halves(norm(random, c.hiddenSize()))),
                half(random, c.vocabularySize(), c.hiddenSize()));
    }

    private static ModelConfig configForCuda(int intermediate, int layers) {
        return new ModelConfig(
                LlamaFamily.LLAMA,
                256,
                intermediate,
                layers,
                4,
                2,
                64,
                101,
                128,
                1e-5,
                Collections.nCopies(
                        layers,
                        new LayerAttention(ModelConfig.NO_WINDOW, Optional.of(new Rope(10000, new Rope.None())))),
                Multipliers.of(64),
                Set.of(),
                Optional.empty(),
                Optional.empty(),
                false,
                DType.F16,
                1,
                List.of(2),
                Optional.empty(),
                JsonNodeFactory.instance.objectNode());
    }

    /**
     * A model of extents that CUDA can compute with, of blocks as a GGUF file has them; rows of query and key are
     * interleaved.
     *
     * @param embedding type of the embedding
     * @param head type of the head
     * @param types of a linear of a layer
     */
    public static ModelWeights ofBlocks(
            int layers, GgufType embedding, GgufType head, BiFunction<Linear, Integer, GgufType> types) {
        ModelConfig c = configForCuda(512, layers);
        Random random = new Random(layers);
        List<DecoderLayer> made = new ArrayList<>();
        for (int layer = 0; layer < layers; layer++) {
            Map<Linear, Weight> w = new EnumMap<>(Linear.class);
            for (Linear linear : Linear.SEVEN) {
                int headDim = linear == Linear.Q || linear == Linear.K ? c.headDim() : 0;
                w.put(
                        linear,
                        blocks(
                                random,
                                types.apply(linear, layer),
                                c.outFeatures(linear),
                                c.inFeatures(linear),
                                headDim));
            }
            made.add(DecoderLayer.of(halves(norm(random, c.hiddenSize())), w, halves(norm(random, c.hiddenSize()))));
        }
        return new ModelWeights(
                c,
                blocks(random, embedding, c.vocabularySize(), c.hiddenSize(), 0),
                made,
                new Norm(halves(norm(random, c.hiddenSize()))),
                blocks(random, head, c.vocabularySize(), c.hiddenSize(), 0));
    }

    /** Random blocks, with scales that give weights of about 1/sqrt(in). */
    public static Weight blocks(Random random, GgufType type, int out, int in, int headDim) {
        if (type.isPlain()) {
            return half(random, out, in);
        }
        int[] at;
        double spread;
        double minimum = 0;
        switch (type) {
            case Q4_1, Q5_1 -> {
                at = new int[] {0, 2};
                minimum = type == GgufType.Q4_1 ? -7.5 : -15.5;
                spread = type == GgufType.Q4_1 ? 4.6 : 9.2;
            }
            case Q4_K, Q5_K -> {
                at = new int[] {0, 2};
                minimum = type == GgufType.Q4_K ? 7.5 : 15.5;
                spread = type == GgufType.Q4_K ? 270 : 540;
            }
            case Q2_K -> {
                at = new int[] {80, 82};
                minimum = 1.5;
                spread = 13;
            }
            case Q3_K -> {
                at = new int[] {108};
                spread = 43;
            }
            case Q6_K -> {
                at = new int[] {208};
                spread = 1370;
            }
            default -> {
                at = new int[] {0};
                spread = switch (type) {
                    case Q4_0 -> 4.6;
                    case Q5_0 -> 9.2;
                    case Q8_0, IQ4_NL -> 72;
                    default -> 1300;
                };
            }
        }
        byte[] bytes = new byte[Math.toIntExact(type.bytes((long) out * in))];
        random.nextBytes(bytes);
        ByteBuffer data = ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN);
        for (int block = 0; block < bytes.length; block += type.blockBytes()) {
            double d = (0.5 + random.nextDouble()) / spread / Math.sqrt(in);
            data.putShort(block + at[0], Float.floatToFloat16((float) d));
            if (at.length > 1) {
                data.putShort(block + at[1], Float.floatToFloat16((float) (minimum * d)));
            }
        }
        // Off the heap, where native kernels can read it.
        MemorySegment stored = Arena.ofAuto().allocate(bytes.length, 64).copyFrom(MemorySegment.ofArray(bytes));
        return new BlockWeight(type.toString(), new GgufBlocks(type, stored, out, in, headDim));
    }

    static DenseWeight half(Random random, int out, int in) {
        float[] values = values(random, out * in);
        for (int i = 0; i < values.length; i++) {
            values[i] /= (float) Math.sqrt(in);
        }
        return DenseWeight.of("random", halves(values), out, in);
    }

    static float[] halves(float[] values) {
        for (int i = 0; i < values.length; i++) {
            values[i] = Float.float16ToFloat(Float.floatToFloat16(values[i]));
        }
        return values;
    }

    static QuantizedWeight nibbles(Random random, int out, int in, int groupSize) {
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
