package nibble.engine.bench;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.EnumMap;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import java.util.Set;
import java.util.SplittableRandom;
import java.util.function.BiFunction;
import nibble.checkpoint.gguf.GgufBlocks;
import nibble.checkpoint.gguf.GgufType;
import nibble.checkpoint.model.Experts;
import nibble.checkpoint.model.Linear;
import nibble.checkpoint.model.ModelConfig;
import nibble.checkpoint.model.layer.LayerNorm;
import nibble.checkpoint.tensor.DType;
import nibble.checkpoint.tensor.Shape;
import nibble.checkpoint.tensor.TensorView;
import nibble.engine.backend.Workers;
import nibble.engine.tensor.BlockWeight;
import nibble.engine.tensor.DecoderLayer;
import nibble.engine.tensor.DenseWeight;
import nibble.engine.tensor.ExpertMlps;
import nibble.engine.tensor.LayerExtras;
import nibble.engine.tensor.Mlp;
import nibble.engine.tensor.QuantizedWeight;
import nibble.engine.tensor.Weight;
import nibble.pack.QuantizationSpec;
import nibble.pack.QuantizedLinear;

/** Random weights of a shape: normally distributed with the deviation 0.02 that Llamas start from. */
final class RandomLayer {
    private static final ValueLayout.OfShort SHORT = ValueLayout.JAVA_SHORT.withOrder(ByteOrder.LITTLE_ENDIAN);
    private static final double DEVIATION = 0.02;
    private static final int TABLE = 1 << 16;
    private static final int CHUNK = 1 << 20;
    private static final Set<Linear> MLP = Set.of(Linear.GATE, Linear.UP, Linear.DOWN);

    private final Workers workers;
    private final Arena arena;
    private final short[] table = new short[TABLE];

    /** @param arena what dense weights are allocated in */
    RandomLayer(Workers workers, Arena arena) {
        this.workers = workers;
        this.arena = arena;
        Random random = new Random(1);
        for (int i = 0; i < TABLE; i++) {
            table[i] = Float.floatToFloat16((float) (random.nextGaussian() * DEVIATION));
        }
    }

    /** Makes a weight [out, in] of a name. */
    private interface Maker {
        Weight of(Linear linear, int out, int in);
    }

    /** A layer of fp16 weights. */
    DecoderLayer dense(ModelConfig config) {
        return layer(config, 0, (linear, out, in) -> dense(linear.path(), out, in));
    }

    /** A layer of 4-bit weights, whose values have the same deviation. */
    DecoderLayer quantized(ModelConfig config, QuantizationSpec spec) {
        return layer(config, 0, (_, out, in) -> {
            byte[] codes = new byte[Math.toIntExact((long) out * in / 2)];
            workers.forEach((codes.length + CHUNK - 1) / CHUNK, chunk -> {
                byte[] part = new byte[Math.min(CHUNK, codes.length - chunk * CHUNK)];
                new SplittableRandom(chunk).nextBytes(part);
                System.arraycopy(part, 0, codes, chunk * CHUNK, part.length);
            });
            byte[] zeros = new byte[out * spec.groups(in)];
            short[] scales = new short[zeros.length];
            // Codes are even over 0..15, with a deviation of 4.6 around 7.5. Scales vary, so that the weights' bits do.
            SplittableRandom random = new SplittableRandom(out);
            for (int i = 0; i < scales.length; i++) {
                zeros[i] = (byte) random.nextInt(6, 10);
                scales[i] = Float.floatToFloat16((float) (DEVIATION / 4.6 * random.nextDouble(0.5, 1.5)));
            }
            return new QuantizedWeight(new QuantizedLinear(out, in, spec, codes, zeros, scales));
        });
    }

    /** Layers of blocks as in a GGUF file; those of the same types share their weights. */
    List<DecoderLayer> blocks(ModelConfig config, BiFunction<Linear, Integer, GgufType> types) {
        Map<String, Weight> made = new HashMap<>();
        List<DecoderLayer> layers = new ArrayList<>();
        for (int layer = 0; layer < config.layers(); layer++) {
            int index = layer;
            layers.add(layer(config, layer, (linear, out, in) -> {
                GgufType type = types.apply(linear, index);
                return made.computeIfAbsent(
                        linear.path() + " " + type + " " + out + " " + in, name -> of(name, type, out, in));
            }));
        }
        return layers;
    }

    /** A matrix of fp16 numbers, or of random blocks. */
    Weight of(String name, GgufType type, int out, int in) {
        if (type.isPlain()) {
            return dense(name, out, in);
        }
        // Of weights whose codes and small scales are random: about the deviation of the others.
        double d = DEVIATION
                / switch (type) {
                    case Q4_0, Q4_1 -> 4.6;
                    case Q5_0, Q5_1 -> 9.2;
                    case Q8_0, IQ4_NL -> 72;
                    case Q2_K -> 13;
                    case Q3_K -> 43;
                    case Q4_K -> 270;
                    case Q5_K -> 540;
                    default -> 1300;
                };
        short scale = Float.floatToFloat16((float) d);
        int[] at = scalesOf(type);
        MemorySegment data = arena.allocate(type.bytes((long) out * in), 64);
        long blocks = data.byteSize() / type.blockBytes();
        int each = CHUNK / type.blockBytes();
        workers.forEach(Math.toIntExact((blocks + each - 1) / each), chunk -> {
            long from = (long) chunk * each;
            byte[] part = new byte[(int) Math.min(each, blocks - from) * type.blockBytes()];
            SplittableRandom random = new SplittableRandom(chunk);
            random.nextBytes(part);
            ByteBuffer stored = ByteBuffer.wrap(part).order(ByteOrder.LITTLE_ENDIAN);
            for (int block = 0; block < part.length; block += type.blockBytes()) {
                // Codes need not be even around zero, so blocks have either sign.
                int sign = random.nextInt(2) << 15;
                for (int offset : at) {
                    stored.putShort(block + offset, (short) (scale | sign));
                }
            }
            MemorySegment.copy(part, 0, data, ValueLayout.JAVA_BYTE, from * type.blockBytes(), part.length);
        });
        return new BlockWeight(name, new GgufBlocks(type, data, out, in, 0));
    }

    /** Where a block has its fp16 scale, and its minimum. */
    private static int[] scalesOf(GgufType type) {
        return switch (type) {
            case Q4_1, Q5_1, Q4_K, Q5_K -> new int[] {0, 2};
            case Q2_K -> new int[] {80, 82};
            case Q3_K -> new int[] {108};
            case Q6_K -> new int[] {208};
            default -> new int[] {0};
        };
    }

    private DecoderLayer layer(ModelConfig config, int index, Maker maker) {
        Map<Linear, Weight> weights = new EnumMap<>(Linear.class);
        Optional<Experts> experts = config.experts(index);
        for (Linear linear : Linear.SEVEN) {
            if (experts.isEmpty() || !MLP.contains(linear)) {
                weights.put(linear, maker.of(linear, config.outFeatures(linear), config.inFeatures(linear)));
            }
        }
        return DecoderLayer.of(
                config.norm(LayerNorm.ATTENTION_IN, index).isPresent() ? ones(config) : DecoderLayer.NO_NORM,
                weights,
                config.norm(LayerNorm.MLP_IN, index).isPresent() ? ones(config) : DecoderLayer.NO_NORM,
                experts.isPresent() ? experts(experts.get(), config, maker) : DecoderLayer.mlp(weights),
                LayerExtras.neutral(config, index));
    }

    /** Experts that share their weights here; a card places each. */
    private ExpertMlps experts(Experts experts, ModelConfig config, Maker maker) {
        Mlp routed = expert(experts.width(), config.hiddenSize(), maker);
        return new ExpertMlps(
                dense("router", experts.count(), config.hiddenSize()),
                new float[experts.biased() ? experts.count() : 0],
                Collections.nCopies(experts.count(), routed),
                experts.shared().exists()
                        ? Optional.of(expert(experts.shared().width(), config.hiddenSize(), maker))
                        : Optional.empty(),
                experts.shared().gated()
                        ? Optional.of(dense("gate of the shared expert", 1, config.hiddenSize()))
                        : Optional.empty());
    }

    private static Mlp expert(int width, int hidden, Maker maker) {
        return new Mlp(
                maker.of(Linear.GATE, width, hidden),
                maker.of(Linear.UP, width, hidden),
                maker.of(Linear.DOWN, hidden, width));
    }

    private static float[] ones(ModelConfig config) {
        float[] norm = new float[config.hiddenSize()];
        Arrays.fill(norm, 1f);
        return norm;
    }

    DenseWeight dense(String name, int out, int in) {
        long elements = (long) out * in;
        MemorySegment data = arena.allocate(2 * elements, 64);
        workers.forEach(Math.toIntExact((elements + CHUNK - 1) / CHUNK), chunk -> {
            SplittableRandom random = new SplittableRandom(chunk);
            long from = (long) chunk * CHUNK;
            long end = Math.min(elements, from + CHUNK);
            long bits = 0;
            for (long i = from; i < end; i++) {
                bits = i % 4 == 0 ? random.nextLong() : bits >>> 16;
                data.setAtIndex(SHORT, i, table[(int) bits & (TABLE - 1)]);
            }
        });
        return new DenseWeight(new TensorView(name, DType.F16, Shape.of(out, in), data));
    }
}
