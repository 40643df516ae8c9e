package nibble.pack.layout;

import com.fasterxml.jackson.databind.node.ObjectNode;
import java.lang.foreign.MemorySegment;
import java.nio.ByteOrder;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import nibble.checkpoint.Checkpoint;
import nibble.checkpoint.model.LinearModule;
import nibble.checkpoint.model.quantization.LinearTensor.Role;
import nibble.checkpoint.model.quantization.QuantizedFormat;
import nibble.checkpoint.source.BadCheckpointException;
import nibble.checkpoint.tensor.TensorSpec;
import nibble.pack.PackedLinear;
import nibble.pack.QuantizationSpec;
import nibble.pack.QuantizedLinear;
import nibble.pack.Words;

/**
 * Holds AutoAWQ's GEMM layout, the one that vLLM, TGI and transformers load as {@code quant_method: awq, version:
 * gemm}.
 *
 * <pre>
 * qweight I32 [in, out/8]    word [k, c] holds the codes of input k for outputs 8c … 8c+7
 * qzeros  I32 [in/g, out/8]  the same for the zeros of a group, stored as they are
 * scales  F16 [in/g, out]
 *
 * bits of a word   31–28  27–24  23–20  19–16  15–12  11–8   7–4    3–0
 * output 8c +        7      5      3      1      6      4      2     0
 * </pre>
 */
public final class AwqLayout implements Layout {
    static final AwqLayout INSTANCE = new AwqLayout();

    /** Nibble i of a word (bits 4i … 4i+3) holds output 8c + ORDER[i]. */
    static final int[] ORDER = {0, 2, 4, 6, 1, 3, 5, 7};

    private static final long EVERY_OTHER_NIBBLE = 0x0f0f0f0f0f0f0f0fL;

    /** A cache line of codes of a row. */
    private static final int TILE_COLUMNS = 128;

    /**
     * Holds the three tensors of a linear, little-endian.
     *
     * @param qweight I32 [in, out/8]
     * @param qzeros I32 [in/g, out/8]
     * @param scales F16 [in/g, out]
     */
    public record AwqTensors(MemorySegment qweight, MemorySegment qzeros, MemorySegment scales) {}

    private AwqLayout() {}

    /** Returns the bit of a word at which the code of output {@code i} of its eight begins. */
    public static int shift(int i) {
        return i % 2 == 0 ? 2 * i : 2 * i + 14;
    }

    /**
     * Returns the output, of the eight that share a word, whose number is nibble {@code i} of it (bits 4i to 4i + 3).
     */
    public static int output(int i) {
        return ORDER[i];
    }

    @Override
    public QuantizedFormat format() {
        return QuantizedFormat.AWQ_GEMM;
    }

    @Override
    public PackedLinear linear(Tensors tensors) {
        return stored(tensors).unpack();
    }

    @Override
    public List<MemorySegment> data(QuantizedLinear linear, boolean symmetric) {
        AwqTensors tensors = pack(linear);
        return List.of(tensors.qweight(), tensors.qzeros(), tensors.scales());
    }

    @Override
    public ObjectNode config(QuantizationSpec spec, List<String> kept) {
        ObjectNode json = QuantizationJson.object().put("bits", spec.bits()).put("group_size", spec.groupSize());
        if (kept.isEmpty()) {
            json.putNull("modules_to_not_convert");
        } else {
            // Loaders look for each as a part of a module's name. Full names are parts of no linear that is quantized.
            kept.forEach(json.putArray("modules_to_not_convert")::add);
        }
        return json.put("quant_method", format().method())
                .put("version", format().version())
                .put("zero_point", true);
    }

    @Override
    public Map<String, ObjectNode> beside(QuantizationSpec spec, List<String> kept) {
        return Map.of(
                "quant_config.json",
                QuantizationJson.object()
                        .put("zero_point", true)
                        .put("q_group_size", spec.groupSize())
                        .put("w_bit", spec.bits())
                        .put("version", "GEMM"));
    }

    /** Returns the tensors of a linear, on the heap. */
    public static AwqTensors pack(QuantizedLinear linear) {
        int out = linear.outFeatures();
        int in = linear.inFeatures();
        int groups = linear.groups();
        int words = out / 8;
        int[] qweight = new int[Math.multiplyExact(in, words)];
        int[] qzeros = new int[groups * words];
        short[] scales = new short[groups * out];
        for (int first = 0; first < in; first += TILE_COLUMNS) {
            packColumns(linear, first, Math.min(TILE_COLUMNS, in - first), qweight);
        }
        for (int word = 0; word < words; word++) {
            for (int nibble = 0; nibble < 8; nibble++) {
                int row = 8 * word + ORDER[nibble];
                int shift = 4 * nibble;
                for (int group = 0; group < groups; group++) {
                    qzeros[group * words + word] |= linear.zeros()[row * groups + group] << shift;
                    scales[group * out + row] = linear.scales()[row * groups + group];
                }
            }
        }
        return new AwqTensors(Words.littleEndian(qweight), Words.littleEndian(qzeros), littleEndian(scales));
    }

    /** The codes of a few columns, whose words stay in the cache while the rows go by. */
    private static void packColumns(QuantizedLinear linear, int first, int count, int[] qweight) {
        int in = linear.inFeatures();
        int words = linear.outFeatures() / 8;
        byte[] codes = linear.codes();
        int rowBytes = in / 2;
        for (int word = 0; word < words; word++) {
            int from = 8 * word * rowBytes + first / 2;
            int to = first * words + word;
            for (int pair = 0; pair < count / 2; pair++) {
                // Bytes of rows 0 … 7 at bits 8·i, then nibbles of even columns at 8·i and of odd ones at 8·i + 4.
                long rows = 0;
                for (int row = 0; row < 8; row++) {
                    rows |= (codes[from + pair + row * rowBytes] & 0xffL) << 8 * row;
                }
                qweight[to + 2 * pair * words] = word(rows & EVERY_OTHER_NIBBLE);
                qweight[to + (2 * pair + 1) * words] = word((rows >>> 4) & EVERY_OTHER_NIBBLE);
            }
        }
    }

    /** From row i at bits 8i of a long to the order of a word: even rows first, then odd ones. */
    private static int word(long rows) {
        return (int) Long.compress(rows, 0x00ff00ff00ff00ffL & EVERY_OTHER_NIBBLE)
                | (int) Long.compress(rows, 0xff00ff00ff00ff00L & EVERY_OTHER_NIBBLE) << 16;
    }

    /** Undoes {@link #packColumns}. */
    private static void unpackColumns(MemorySegment qweight, int first, int count, QuantizedLinear linear) {
        int words = linear.outFeatures() / 8;
        byte[] codes = linear.codes();
        int rowBytes = linear.inFeatures() / 2;
        for (int word = 0; word < words; word++) {
            int to = 8 * word * rowBytes + first / 2;
            for (int pair = 0; pair < count / 2; pair++) {
                long from = 4L * ((long) (first + 2 * pair) * words + word);
                long rows = rows(qweight.get(Words.INT, from)) | rows(qweight.get(Words.INT, from + 4L * words)) << 4;
                for (int row = 0; row < 8; row++) {
                    codes[to + pair + row * rowBytes] = (byte) (rows >>> 8 * row);
                }
            }
        }
    }

    /** Undoes {@link #word}. */
    private static long rows(int word) {
        return Long.expand(word & 0xffffL, 0x00ff00ff00ff00ffL & EVERY_OTHER_NIBBLE)
                | Long.expand(word >>> 16, 0xff00ff00ff00ff00L & EVERY_OTHER_NIBBLE);
    }

    public static MemorySegment littleEndian(short[] values) {
        if (ByteOrder.nativeOrder() == ByteOrder.BIG_ENDIAN) {
            for (int i = 0; i < values.length; i++) {
                values[i] = Short.reverseBytes(values[i]);
            }
        }
        return MemorySegment.ofArray(values);
    }

    /**
     * Returns the linear that these tensors hold.
     *
     * @throws IllegalArgumentException if a segment's size is not what the shape takes
     */
    public static QuantizedLinear unpack(AwqTensors tensors, int outFeatures, int inFeatures, QuantizationSpec spec) {
        List<TensorSpec> specs = INSTANCE.tensors("linear", outFeatures, inFeatures, spec);
        requireBytes(specs.get(0), tensors.qweight());
        requireBytes(specs.get(1), tensors.qzeros());
        requireBytes(specs.get(2), tensors.scales());
        QuantizedLinear linear = QuantizedLinear.blank(outFeatures, inFeatures, spec);
        int groups = linear.groups();
        int words = outFeatures / 8;
        for (int first = 0; first < inFeatures; first += TILE_COLUMNS) {
            unpackColumns(tensors.qweight(), first, Math.min(TILE_COLUMNS, inFeatures - first), linear);
        }
        for (int group = 0; group < groups; group++) {
            for (int word = 0; word < words; word++) {
                int packed = tensors.qzeros().get(Words.INT, 4L * (group * words + word));
                for (int nibble = 0; nibble < 8; nibble++) {
                    int row = 8 * word + ORDER[nibble];
                    linear.zeros()[row * groups + group] = (byte) ((packed >>> 4 * nibble) & 15);
                }
            }
            for (int row = 0; row < outFeatures; row++) {
                linear.scales()[row * groups + group] =
                        tensors.scales().get(Words.SHORT, 2L * ((long) group * outFeatures + row));
            }
        }
        return linear;
    }

    /**
     * Holds a linear as an AWQ checkpoint stores it.
     *
     * @param tensors views of the mapped files
     */
    public record AwqLinear(String module, int outFeatures, int inFeatures, QuantizationSpec spec, AwqTensors tensors)
            implements LinearInPlace {
        @Override
        public QuantizedLinear unpack() {
            return AwqLayout.unpack(tensors, outFeatures, inFeatures, spec);
        }
    }

    /**
     * Finds a linear of an AWQ checkpoint, which must stay open while the linear is used.
     *
     * @throws BadCheckpointException if the checkpoint is not quantized, lacks one of the three tensors, or one has
     *     another type or shape than its config says
     */
    public static AwqLinear read(Checkpoint checkpoint, LinearModule module, int layer) {
        return stored(Tensors.of(checkpoint, module, layer));
    }

    @Override
    public Optional<AwqLinear> inPlace(Tensors tensors) {
        return Optional.of(stored(tensors));
    }

    private static AwqLinear stored(Tensors tensors) {
        try {
            tensors.spec().check(tensors.module() + ".weight", tensors.outFeatures(), tensors.inFeatures());
        } catch (IllegalArgumentException e) {
            throw new BadCheckpointException(tensors.checkpoint().configFile(), e.getMessage(), e);
        }
        AwqTensors data = new AwqTensors(tensors.data(Role.CODES), tensors.data(Role.ZEROS), tensors.data(Role.SCALES));
        return new AwqLinear(tensors.module(), tensors.outFeatures(), tensors.inFeatures(), tensors.spec(), data);
    }

    private static void requireBytes(TensorSpec spec, MemorySegment data) {
        if (data.byteSize() != spec.bytes()) {
            throw new IllegalArgumentException(
                    spec.name() + ": " + data.byteSize() + " bytes given, " + spec.shape() + " takes " + spec.bytes());
        }
    }
}
