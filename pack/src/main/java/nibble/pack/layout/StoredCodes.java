package nibble.pack.layout;

import java.lang.foreign.MemorySegment;
import nibble.pack.QuantizationSpec;
import nibble.pack.QuantizedLinear;
import nibble.pack.Words;

/**
 * Holds a 4-bit linear as a GPTQ or compressed-tensors checkpoint stores it, with columns in their plain groups. A word
 * holds the codes of eight consecutive inputs for one output, the first in its lowest bits.
 *
 * @param byRows whether words, zeros and scales of an output stand side by side (compressed-tensors), or those of an
 *     input (GPTQ)
 * @param codes I32 [out, in/8] by rows, else [in/8, out]; a view of the mapped files
 * @param zeros I32 [out/8, in/g] by rows, else [in/g, out/8]; no bytes where all zeros are 8
 * @param scales F16 [out, in/g] by rows, else [in/g, out]
 * @param lessOne whether zeros are stored less one
 */
public record StoredCodes(
        String module,
        int outFeatures,
        int inFeatures,
        QuantizationSpec spec,
        boolean byRows,
        MemorySegment codes,
        MemorySegment zeros,
        MemorySegment scales,
        boolean lessOne)
        implements LinearInPlace {
    private static final int ONES = 0x11111111;

    /** Returns the groups in a row. */
    public int groups() {
        return spec.groups(inFeatures);
    }

    /** Returns the codes of inputs {@code 8 * eight} to {@code 8 * eight + 7} for an output. */
    public int word(int row, int eight) {
        return codes.get(
                Words.INT, 4 * (byRows ? (long) row * (inFeatures / 8) + eight : (long) eight * outFeatures + row));
    }

    /** Returns the zero of a group, 0 to 15. */
    public int zero(int row, int group) {
        if (zeros.byteSize() == 0) {
            return QuantizationSpec.MIDDLE;
        }
        long at = byRows ? (long) (row / 8) * groups() + group : (long) group * (outFeatures / 8) + row / 8;
        return zeros.get(Words.INT, 4 * at) + (lessOne ? ONES : 0) >>> 4 * (row % 8) & 15;
    }

    /** Returns the scale of a group, fp16 bits. */
    public short scale(int row, int group) {
        return scales.get(Words.SHORT, 2 * (byRows ? (long) row * groups() + group : (long) group * outFeatures + row));
    }

    @Override
    public QuantizedLinear unpack() {
        return byRows
                ? CompressedTensorsLayout.unpack(codes, scales, zeros, outFeatures, inFeatures, spec)
                : GptqLayout.unpack(codes, zeros, scales, outFeatures, inFeatures, spec, lessOne);
    }
}
