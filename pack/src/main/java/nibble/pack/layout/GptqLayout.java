package nibble.pack.layout;

import com.fasterxml.jackson.databind.node.ObjectNode;
import java.lang.foreign.MemorySegment;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import nibble.checkpoint.model.quantization.LinearTensor.Role;
import nibble.checkpoint.model.quantization.QuantizedFormat;
import nibble.pack.PackedLinear;
import nibble.pack.QuantizationSpec;
import nibble.pack.QuantizedLinear;
import nibble.pack.Words;

/**
 * Holds AutoGPTQ's layout, {@code quant_method: gptq}: eight inputs in a word of codes, eight outputs in a word of
 * zeros.
 *
 * <pre>
 * qweight I32 [in/8, out]    nibble i of word [r, n] is the code of input 8r+i for output n
 * qzeros  I32 [in/g, out/8]  nibble i of word [g, c] is the zero of output 8c+i
 * scales  F16 [in/g, out]
 * g_idx   I32 [in]           the group of each input
 * </pre>
 *
 * <p>At 8 bits a word has four bytes where it has eight nibbles here.
 *
 * <p>The first version stores zeros less one. What is subtracted is 0x11111111 from the word, so a zero of 0 borrows
 * from its neighbour; it is added back the same way, as GPTQModel does. Readers that add one to each nibble get such a
 * word wrong, so it is never written: zeros of 0 need the second version, which stores zeros as they are.
 */
public final class GptqLayout implements Layout {
    private static final int TILE_WORDS = 16;

    static final GptqLayout FIRST = new GptqLayout(QuantizedFormat.GPTQ);
    static final GptqLayout SECOND = new GptqLayout(QuantizedFormat.GPTQ_V2);

    private final QuantizedFormat format;

    private GptqLayout(QuantizedFormat format) {
        this.format = format;
    }

    @Override
    public QuantizedFormat format() {
        return format;
    }

    @Override
    public PackedLinear linear(Tensors tensors) {
        QuantizedLinear linear = unpack(
                tensors.data(Role.CODES),
                tensors.data(Role.ZEROS),
                PackedLinears.scales(tensors),
                tensors.outFeatures(),
                tensors.inFeatures(),
                tensors.spec(),
                format == QuantizedFormat.GPTQ);
        return PackedLinears.reordered(tensors, linear);
    }

    @Override
    public Optional<StoredCodes> inPlace(Tensors tensors) {
        return PackedLinears.hasPlainGroups(tensors)
                ? Optional.of(new StoredCodes(
                        tensors.module(),
                        tensors.outFeatures(),
                        tensors.inFeatures(),
                        tensors.spec(),
                        false,
                        tensors.data(Role.CODES),
                        tensors.data(Role.ZEROS),
                        PackedLinears.scales(tensors),
                        format == QuantizedFormat.GPTQ))
                : Optional.empty();
    }

    @Override
    public ObjectNode config(QuantizationSpec spec, List<String> kept) {
        return entries(spec, kept).put("quant_method", format.method());
    }

    @Override
    public Map<String, ObjectNode> beside(QuantizationSpec spec, List<String> kept) {
        return Map.of("quantize_config.json", entries(spec, kept));
    }

    private ObjectNode entries(QuantizationSpec spec, List<String> kept) {
        ObjectNode json = QuantizationJson.object()
                .put("bits", spec.bits())
                .put("group_size", spec.groupSize())
                .put("desc_act", false)
                .put("sym", spec.symmetric())
                .put("lm_head", false)
                .put("true_sequential", true)
                .put("checkpoint_format", format.version());
        if (!kept.isEmpty()) {
            ObjectNode rules = json.putObject("dynamic");
            // One expression for all layers: a leading "-:" leaves what it matches unquantized.
            kept.stream()
                    .map(name -> name.replace(".", "\\.").replaceFirst("layers\\\\.[0-9]+", "layers\\\\.\\\\d+"))
                    .distinct()
                    .forEach(pattern -> rules.putObject("-:^" + pattern + "$"));
        }
        return json;
    }

    @Override
    public List<MemorySegment> data(QuantizedLinear linear, boolean symmetric) {
        if (format == QuantizedFormat.GPTQ && !fitsFirstVersion(linear)) {
            throw new IllegalArgumentException(
                    "it has zeros of 0, which GPTQ's first version cannot hold; convert to gptq, the second one");
        }
        return List.of(pack(linear, format == QuantizedFormat.GPTQ));
    }

    /** Returns qweight, qzeros, scales and g_idx. */
    public static MemorySegment[] pack(QuantizedLinear linear, boolean lessOne) {
        int out = linear.outFeatures();
        int in = linear.inFeatures();
        int groups = linear.groups();
        int bits = linear.bits();
        int perWord = Integer.SIZE / bits;
        int[] qweight = new int[Math.multiplyExact(in / perWord, out)];
        int[] qzeros = new int[groups * (out / perWord)];
        short[] scales = new short[groups * out];
        int[] groupOfColumn = new int[in];
        for (int row = 0; row < out; row++) {
            int from = row * linear.rowBytes();
            for (int word = 0; word < in / perWord; word++) {
                qweight[word * out + row] = Words.codes(linear.codes(), from + 4 * word);
            }
            for (int group = 0; group < groups; group++) {
                int zero = linear.zero(row * groups + group);
                qzeros[group * (out / perWord) + row / perWord] |= zero << bits * (row % perWord);
                scales[group * out + row] = linear.scales()[row * groups + group];
            }
        }
        if (lessOne) {
            for (int i = 0; i < qzeros.length; i++) {
                qzeros[i] -= Words.repeated(1, bits);
            }
        }
        for (int column = 0; column < in; column++) {
            groupOfColumn[column] = column / linear.groupSize();
        }
        return new MemorySegment[] {
            Words.littleEndian(qweight),
            Words.littleEndian(qzeros),
            AwqLayout.littleEndian(scales),
            Words.littleEndian(groupOfColumn)
        };
    }

    /** Whether the first version can hold these zeros: none is 0. */
    static boolean fitsFirstVersion(QuantizedLinear linear) {
        for (byte zero : linear.zeros()) {
            if (zero == 0) {
                return false;
            }
        }
        return true;
    }

    /**
     * Returns the linear that these tensors hold.
     *
     * @param scales F16 [in/g, out]
     */
    public static QuantizedLinear unpack(
            MemorySegment qweight,
            MemorySegment qzeros,
            MemorySegment scales,
            int out,
            int in,
            QuantizationSpec spec,
            boolean lessOne) {
        QuantizedLinear linear = QuantizedLinear.blank(out, in, spec);
        int groups = linear.groups();
        int bits = spec.bits();
        int perWord = Integer.SIZE / bits;
        for (int first = 0; first < in / perWord; first += TILE_WORDS) {
            // A few words of a row at a time: their lines stay in the cache while the rows go by.
            int end = Math.min(in / perWord, first + TILE_WORDS);
            for (int row = 0; row < out; row++) {
                for (int word = first; word < end; word++) {
                    int packed = qweight.get(Words.INT, 4L * ((long) word * out + row));
                    Words.putCodes(packed, linear.codes(), row * linear.rowBytes() + 4 * word);
                }
            }
        }
        for (int group = 0; group < groups; group++) {
            for (int row = 0; row < out; row++) {
                long at = 4L * ((long) group * (out / perWord) + row / perWord);
                int packed = qzeros.get(Words.INT, at) + (lessOne ? Words.repeated(1, bits) : 0);
                linear.zeros()[row * groups + group] = (byte) (packed >>> bits * (row % perWord) & spec.maxCode());
                linear.scales()[row * groups + group] = scales.get(Words.SHORT, 2L * ((long) group * out + row));
            }
        }
        return linear;
    }
}
