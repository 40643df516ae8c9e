package nibble.pack;

import java.io.Serializable;
import nibble.checkpoint.model.quantization.QuantizationConfig;

/**
 * Describes the numbers to quantize to: integer codes with one scale and one zero per group of input columns. It knows
 * no file and no layout; {@link QuantizationConfig} describes what a checkpoint says of itself.
 *
 * @param bits bits of a code: 4, or 8
 * @param groupSize input columns that share a scale and a zero: 32, 64, 128, or −1 for a whole row
 * @param symmetric whether the zero of every group is {@link #middle}, as loaders without zero points need
 */
public record QuantizationSpec(int bits, int groupSize, boolean symmetric) implements Serializable {
    /** Group size that means one group a row. */
    public static final int WHOLE_ROW = QuantizationConfig.WHOLE_ROW;

    /** Gives each group a zero of its own. */
    public QuantizationSpec(int bits, int groupSize) {
        this(bits, groupSize, false);
    }

    public QuantizationSpec {
        if (!QuantizationConfig.BITS.contains(bits)) {
            throw new IllegalArgumentException("bits " + bits + " is not supported: give 4 or 8");
        }
        if (groupSize != WHOLE_ROW && !QuantizationConfig.GROUP_SIZES.contains(groupSize)) {
            throw new IllegalArgumentException(
                    "group size " + groupSize + " is not supported: give 32, 64, 128, or -1 for whole rows");
        }
    }

    /** Returns the numbers that a quantized checkpoint holds, whatever its layout. */
    public static QuantizationSpec of(QuantizationConfig config) {
        return new QuantizationSpec(config.bits(), config.groupSize(), config.symmetric());
    }

    /** Returns the largest code: 15 at 4 bits. */
    public int maxCode() {
        return maxCode(bits);
    }

    static int maxCode(int bits) {
        return (1 << bits) - 1;
    }

    /** Returns the zero of symmetric codes: 8 at 4 bits. */
    public int middle() {
        return middle(bits);
    }

    static int middle(int bits) {
        return 1 << (bits - 1);
    }

    /** Returns how many codes share a byte in {@link QuantizedLinear}: two where there is room. */
    public int codesPerByte() {
        return codesPerByte(bits);
    }

    /** Returns how many codes of so many bits share a byte. */
    public static int codesPerByte(int bits) {
        return bits <= 4 ? 2 : 1;
    }

    /** Returns how many input columns a group has in a linear with this many in-features. */
    public int columnsPerGroup(int inFeatures) {
        return QuantizationConfig.columnsPerGroup(groupSize, inFeatures);
    }

    /**
     * Returns the groups in a row.
     *
     * @throws IllegalArgumentException if the group size does not divide the in-features
     */
    public int groups(int inFeatures) {
        int columns = columnsPerGroup(inFeatures);
        if (inFeatures <= 0 || inFeatures % columns != 0) {
            throw new IllegalArgumentException(
                    "in-features " + inFeatures + " are not a multiple of the group size " + columns);
        }
        return inFeatures / columns;
    }

    /**
     * Checks that a linear of this shape can be quantized and packed so.
     *
     * @throws IllegalArgumentException naming {@code tensor}, if in-features do not split into groups or out-features
     *     into words of eight 4-bit codes
     */
    public void check(String tensor, int outFeatures, int inFeatures) {
        try {
            groups(inFeatures);
        } catch (IllegalArgumentException e) {
            throw new IllegalArgumentException("tensor " + tensor + ": " + e.getMessage(), e);
        }
        if (inFeatures % 2 != 0) {
            throw new IllegalArgumentException(
                    "tensor " + tensor + ": in-features " + inFeatures + " are odd; two 4-bit codes share a byte");
        }
        if (outFeatures <= 0 || outFeatures % 8 != 0) {
            throw new IllegalArgumentException("tensor " + tensor + ": out-features " + outFeatures
                    + " are not a multiple of 8, as the AWQ layout needs (eight codes a word)");
        }
    }
}
