package nibble.pack;

/**
 * What to quantize to: integer codes with one scale and one zero per group of input columns.
 *
 * @param bits bits of a code; 4
 * @param groupSize input columns that share a scale and a zero: 32, 64, 128, or −1 for a whole row
 * @param symmetric whether the zero of every group is {@link #MIDDLE}, as loaders without zero points need
 */
public record QuantizationSpec(int bits, int groupSize, boolean symmetric) {
    /** Group size that means one group a row. */
    public static final int WHOLE_ROW = -1;

    /** The largest code: 15. */
    public static final int MAX_CODE = 15;

    /** The zero of symmetric codes: 8. */
    public static final int MIDDLE = 8;

    /** With a zero of its own for each group. */
    public QuantizationSpec(int bits, int groupSize) {
        this(bits, groupSize, false);
    }

    public QuantizationSpec {
        if (bits != 4) {
            throw new IllegalArgumentException("bits " + bits + " is not supported: give 4");
        }
        if (groupSize != WHOLE_ROW && !GroupSizes.ALL.contains(groupSize)) {
            throw new IllegalArgumentException(
                    "group size " + groupSize + " is not supported: give 32, 64, 128, or -1 for whole rows");
        }
    }

    /** Input columns in a group of a linear with this many in-features. */
    public int columnsPerGroup(int inFeatures) {
        return groupSize == WHOLE_ROW ? inFeatures : groupSize;
    }

    /**
     * Groups in a row.
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
     *     into words of eight codes
     */
    public void check(String tensor, int outFeatures, int inFeatures) {
        try {
            groups(inFeatures);
        } catch (IllegalArgumentException e) {
            throw new IllegalArgumentException("tensor " + tensor + ": " + e.getMessage(), e);
        }
        if (inFeatures % 2 != 0) {
            throw new IllegalArgumentException(
                    "tensor " + tensor + ": in-features " + inFeatures + " are odd; two codes share a byte");
        }
        if (outFeatures <= 0 || outFeatures % 8 != 0) {
            throw new IllegalArgumentException("tensor " + tensor + ": out-features " + outFeatures
                    + " are not a multiple of 8, as the AWQ layout needs (eight codes a word)");
        }
    }
}
