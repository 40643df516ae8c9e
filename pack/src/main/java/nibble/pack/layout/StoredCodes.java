package nibble.pack.layout;

import java.lang.foreign.MemorySegment;
import nibble.pack.QuantizationSpec;
import nibble.pack.QuantizedLinear;
import nibble.pack.Words;

/**
 * Holds a quantized linear as a GPTQ or compressed-tensors checkpoint stores it, with columns in their plain groups. A
 * word holds the codes of consecutive inputs for one output, the first in its lowest bits: n = 8 at 4 bits, 4 at 8
 * bits.
 *
 * @param byRows whether words, zeros and scales of an output stand side by side (compressed-tensors), or those of an
 *     input (GPTQ)
 * @param codes I32 [out, in/n] by rows, else [in/n, out]; a view of the mapped files
 * @param zeros I32 [out/n, in/g] by rows, else [in/g, out/n]; no bytes where all zeros are in the middle
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
    /** Returns the groups in a row. */
    public int groups() {
        return spec.groups(inFeatures);
    }

    /** Returns the bits of a code. */
    public int bits() {
        return spec.bits();
    }

    /** Returns how many codes a word holds. */
    public int perWord() {
        return Integer.SIZE / spec.bits();
    }

    /** Returns the codes of the inputs from {@code index * perWord()} on for an output. */
    public int word(int row, int index) {
        return codes.get(
                Words.INT,
                4 * (byRows ? (long) row * (inFeatures / perWord()) + index : (long) index * outFeatures + row));
    }

    /** Returns the zero of a group, 0 to the largest code. */
    public int zero(int row, int group) {
        if (zeros.byteSize() == 0) {
            return spec.middle();
        }
        int n = perWord();
        long at = byRows ? (long) (row / n) * groups() + group : (long) group * (outFeatures / n) + row / n;
        int word = zeros.get(Words.INT, 4 * at) + (lessOne ? Words.repeated(1, bits()) : 0);
        return word >>> bits() * (row % n) & spec.maxCode();
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
