package nibble.pack.layout;

import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import nibble.checkpoint.model.quantization.LinearTensor.Role;
import nibble.checkpoint.model.quantization.QuantizedFormat;
import nibble.checkpoint.source.BadCheckpointException;
import nibble.pack.PackedLinear;
import nibble.pack.QuantizationSpec;
import nibble.pack.QuantizedLinear;
import nibble.pack.Words;

/**
 * Holds the layout of compressed-tensors' pack-quantized format. At 4 bits it counts codes and zeros from -8 and stores
 * them plus 8, at 8 bits from -128 and plus 128: they are the codes and zeros of {@link QuantizedLinear}.
 *
 * <pre>
 * weight_packed      I32 [out, in/8]     nibble i of word [n, c] is the code of input 8c+i for output n
 * weight_scale       F16 [out, in/g]
 * weight_zero_point  I32 [out/8, in/g]   nibble i of word [r, g] is the zero of output 8r+i; absent where all are 8
 * weight_shape       I64 [2]             out, in
 * </pre>
 *
 * <p>At 8 bits a word has four bytes where it has eight nibbles here.
 */
public final class CompressedTensorsLayout implements Layout {
    static final CompressedTensorsLayout INSTANCE = new CompressedTensorsLayout();

    private static final ValueLayout.OfLong LONG = ValueLayout.JAVA_LONG_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

    private CompressedTensorsLayout() {}

    @Override
    public QuantizedFormat format() {
        return QuantizedFormat.COMPRESSED_TENSORS;
    }

    @Override
    public PackedLinear linear(Tensors tensors) {
        requireShape(tensors);
        QuantizedLinear linear = unpack(
                tensors.data(Role.CODES),
                PackedLinears.scales(tensors),
                tensors.config().symmetric() ? MemorySegment.ofArray(new byte[0]) : tensors.data(Role.ZEROS),
                tensors.outFeatures(),
                tensors.inFeatures(),
                tensors.spec());
        return PackedLinears.reordered(tensors, linear);
    }

    @Override
    public Optional<StoredCodes> inPlace(Tensors tensors) {
        requireShape(tensors);
        return PackedLinears.hasPlainGroups(tensors)
                ? Optional.of(new StoredCodes(
                        tensors.module(),
                        tensors.outFeatures(),
                        tensors.inFeatures(),
                        tensors.spec(),
                        true,
                        tensors.data(Role.CODES),
                        tensors.config().symmetric() ? MemorySegment.ofArray(new byte[0]) : tensors.data(Role.ZEROS),
                        PackedLinears.scales(tensors),
                        false))
                : Optional.empty();
    }

    /**
     * Checks the shape.
     *
     * @throws BadCheckpointException if the shape that the checkpoint states is not its config's
     */
    public static void requireShape(Tensors tensors) {
        if (!tensors.has(Role.SHAPE)) {
            return;
        }
        String name = tensors.name(Role.SHAPE);
        MemorySegment shape = tensors.data(Role.SHAPE);
        int out = tensors.outFeatures();
        int in = tensors.inFeatures();
        if (shape.get(LONG, 0) != out || shape.get(LONG, 8) != in) {
            throw new BadCheckpointException(
                    tensors.checkpoint().fileOf(name),
                    "tensor " + name + " says [" + shape.get(LONG, 0) + ", " + shape.get(LONG, 8)
                            + "], config.json asks for [" + out + ", " + in
                            + "]; config and weights are of different models, get both again");
        }
    }

    @Override
    public List<MemorySegment> data(QuantizedLinear linear, boolean symmetric) {
        MemorySegment codes = packed(linear);
        MemorySegment scales = scales(linear);
        MemorySegment shape = shape(linear);
        return symmetric ? List.of(codes, scales, shape) : List.of(codes, scales, zeroPoints(linear), shape);
    }

    /** Returns only keys that every release knows: loaders refuse unknown ones below {@code weights}. */
    @Override
    public ObjectNode config(QuantizationSpec spec, List<String> kept) {
        ObjectNode json = QuantizationJson.object()
                .put("quant_method", format().method())
                .put("format", format().version())
                .put("quantization_status", "compressed");
        ArrayNode ignore = json.putArray("ignore").add("lm_head");
        kept.forEach(ignore::add);
        ObjectNode group = json.putObject("config_groups").putObject("group_0");
        group.putArray("targets").add("Linear");
        group.putNull("input_activations").putNull("output_activations");
        ObjectNode weights = group.putObject("weights")
                .put("num_bits", spec.bits())
                .put("type", "int")
                .put("symmetric", spec.symmetric())
                .put("dynamic", false);
        if (spec.groupSize() == QuantizationSpec.WHOLE_ROW) {
            weights.put("strategy", "channel");
        } else {
            weights.put("strategy", "group").put("group_size", spec.groupSize());
        }
        return json;
    }

    @Override
    public Map<String, ObjectNode> beside(QuantizationSpec spec, List<String> kept) {
        return Map.of();
    }

    static MemorySegment packed(QuantizedLinear linear) {
        return MemorySegment.ofArray(linear.codes());
    }

    static MemorySegment scales(QuantizedLinear linear) {
        return AwqLayout.littleEndian(linear.scales().clone());
    }

    static MemorySegment zeroPoints(QuantizedLinear linear) {
        int groups = linear.groups();
        int bits = linear.bits();
        int perWord = Integer.SIZE / bits;
        int[] words = new int[linear.outFeatures() / perWord * groups];
        for (int row = 0; row < linear.outFeatures(); row++) {
            for (int group = 0; group < groups; group++) {
                words[row / perWord * groups + group] |= linear.zero(row * groups + group) << bits * (row % perWord);
            }
        }
        return Words.littleEndian(words);
    }

    static MemorySegment shape(QuantizedLinear linear) {
        ByteBuffer shape = ByteBuffer.allocate(16).order(ByteOrder.LITTLE_ENDIAN);
        return MemorySegment.ofArray(
                shape.putLong(linear.outFeatures()).putLong(linear.inFeatures()).array());
    }

    static boolean isSymmetric(QuantizedLinear linear) {
        for (byte zero : linear.zeros()) {
            if ((zero & 0xff) != linear.middle()) {
                return false;
            }
        }
        return true;
    }

    /**
     * The linear that these tensors hold.
     *
     * @param scales F16 [out, in/g]
     * @param zeroPoints I32 [out/8, in/g], or no bytes where all are in the middle
     */
    static QuantizedLinear unpack(
            MemorySegment packed,
            MemorySegment scales,
            MemorySegment zeroPoints,
            int out,
            int in,
            QuantizationSpec spec) {
        QuantizedLinear linear = QuantizedLinear.blank(out, in, spec);
        MemorySegment.copy(packed, 0, MemorySegment.ofArray(linear.codes()), 0, linear.codes().length);
        int groups = linear.groups();
        int bits = spec.bits();
        int perWord = Integer.SIZE / bits;
        for (int row = 0; row < out; row++) {
            for (int group = 0; group < groups; group++) {
                int cell = row * groups + group;
                linear.scales()[cell] = scales.get(Words.SHORT, 2L * cell);
                int zero = zeroPoints.byteSize() == 0
                        ? spec.middle()
                        : zeroPoints.get(Words.INT, 4L * (row / perWord * groups + group)) >>> bits * (row % perWord)
                                & spec.maxCode();
                linear.zeros()[cell] = (byte) zero;
            }
        }
        return linear;
    }
}
