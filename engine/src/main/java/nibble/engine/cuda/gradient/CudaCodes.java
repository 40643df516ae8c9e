package nibble.engine.cuda.gradient;

import nibble.engine.backend.PlacedCodes;
import nibble.engine.cuda.data.NibbleMatrix;
import nibble.pack.QuantizationSpec;
import nibble.pack.QuantizedLinear;

/**
 * Names codes and zeros in device memory, as {@link QuantizedLinear} has them. Borrows the buffer.
 *
 * @param bits of a code
 * @param codes address of {@link QuantizedLinear#codes}
 * @param zeros address of [outFeatures, groups] bytes
 */
record CudaCodes(TuneCard card, int outFeatures, int inFeatures, int groups, int bits, long codes, long zeros)
        implements PlacedCodes {
    /** Each begins at a multiple of so many bytes. */
    private static final long ALIGNMENT = 256;

    static CudaCodes of(TuneCard card, PlacedCodes codes) {
        if (codes instanceof CudaCodes found && found.card == card) {
            return found;
        }
        throw new IllegalArgumentException(
                "codes of another backend: " + codes.getClass().getSimpleName());
    }

    /** Returns those of a linear whose codes lie at an address, followed by its zeros. */
    static CudaCodes at(TuneCard card, QuantizedLinear linear, long address) {
        NibbleMatrix.requireFits(linear.bits() + "-bit weight", linear.inFeatures());
        return new CudaCodes(
                card,
                linear.outFeatures(),
                linear.inFeatures(),
                linear.groups(),
                linear.bits(),
                address,
                address + codeBytes(linear.outFeatures(), linear.inFeatures(), linear.codesPerByte()));
    }

    /** Returns the bytes of the codes, up to where the zeros begin. */
    static long codeBytes(long outFeatures, int inFeatures, int codesPerByte) {
        return aligned(outFeatures * inFeatures / codesPerByte);
    }

    /** Returns the bytes of a row of codes. */
    long rowBytes() {
        return inFeatures / QuantizationSpec.codesPerByte(bits);
    }

    /** Returns the bytes of codes and zeros. */
    static long bytes(long outFeatures, int inFeatures, int groups, int codesPerByte) {
        return codeBytes(outFeatures, inFeatures, codesPerByte) + aligned(outFeatures * groups);
    }

    private static long aligned(long bytes) {
        return (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    }

    static long bytes(QuantizedLinear linear) {
        return bytes(linear.outFeatures(), linear.inFeatures(), linear.groups(), linear.codesPerByte());
    }
}
