package nibble.pack;

import java.util.Arrays;
import java.util.List;

/**
 * Holds a linear layer of 4-bit codes. Weight [row, column] is {@code (code − zero) · scale}, rounded once to fp16,
 * with one zero and one fp16 scale per row and group of consecutive input columns: what loaders that compute in fp16
 * reconstruct.
 *
 * <p>Wraps the arrays it is given; whoever holds it must not change them once it is shared between threads.
 */
public final class QuantizedLinear implements PackedLinear {
    private final int outFeatures;
    private final int inFeatures;
    private final int groupSize;
    private final int groups;
    private final byte[] codes;
    private final byte[] zeros;
    private final short[] scales;

    /**
     * Makes a linear.
     *
     * @param codes [outFeatures, inFeatures / 2] two codes a byte, low nibble = even column
     * @param zeros [outFeatures, groups] values 0…15
     * @param scales [outFeatures, groups] fp16 bits
     */
    public QuantizedLinear(
            int outFeatures, int inFeatures, QuantizationSpec spec, byte[] codes, byte[] zeros, short[] scales) {
        spec.check("of a quantized linear", outFeatures, inFeatures);
        this.outFeatures = outFeatures;
        this.inFeatures = inFeatures;
        this.groups = spec.groups(inFeatures);
        this.groupSize = spec.columnsPerGroup(inFeatures);
        this.codes = codes;
        this.zeros = zeros;
        this.scales = scales;
        require("codes", codes.length, (long) outFeatures * inFeatures / 2);
        require("zeros", zeros.length, (long) outFeatures * groups);
        require("scales", scales.length, (long) outFeatures * groups);
    }

    /** Returns a linear of zeros, to be filled row by row. */
    public static QuantizedLinear blank(int outFeatures, int inFeatures, QuantizationSpec spec) {
        spec.check("of a quantized linear", outFeatures, inFeatures);
        int groups = spec.groups(inFeatures);
        int codeBytes = Math.toIntExact((long) outFeatures * inFeatures / 2);
        return new QuantizedLinear(
                outFeatures,
                inFeatures,
                spec,
                new byte[codeBytes],
                new byte[outFeatures * groups],
                new short[outFeatures * groups]);
    }

    /** Joins the rows of several linears, in order, to one. */
    public static QuantizedLinear ofRows(List<QuantizedLinear> parts) {
        QuantizedLinear first = parts.getFirst();
        if (parts.size() == 1) {
            return first;
        }
        int rows = parts.stream().mapToInt(QuantizedLinear::outFeatures).sum();
        QuantizedLinear whole = blank(rows, first.inFeatures, first.spec());
        int codesAt = 0;
        int slotsAt = 0;
        for (QuantizedLinear part : parts) {
            if (part.inFeatures != first.inFeatures || part.groupSize != first.groupSize) {
                throw new IllegalArgumentException(
                        "linears of " + part.inFeatures + " and " + first.inFeatures + " in-features, group sizes "
                                + part.groupSize + " and " + first.groupSize + ", cannot be one");
            }
            System.arraycopy(part.codes, 0, whole.codes, codesAt, part.codes.length);
            System.arraycopy(part.zeros, 0, whole.zeros, slotsAt, part.zeros.length);
            System.arraycopy(part.scales, 0, whole.scales, slotsAt, part.scales.length);
            codesAt += part.codes.length;
            slotsAt += part.zeros.length;
        }
        return whole;
    }

    private static void require(String what, int found, long expected) {
        if (found != expected) {
            throw new IllegalArgumentException(what + ": " + found + " elements given, " + expected + " expected");
        }
    }

    @Override
    public int outFeatures() {
        return outFeatures;
    }

    @Override
    public int inFeatures() {
        return inFeatures;
    }

    /** Returns the input columns that share a scale; the in-features where a whole row is one group. */
    public int groupSize() {
        return groupSize;
    }

    /** Returns the groups in a row. */
    public int groups() {
        return groups;
    }

    /** Returns packed codes [outFeatures, inFeatures / 2], low nibble = even column; not a copy. */
    public byte[] codes() {
        return codes;
    }

    /** Returns zeros [outFeatures, groups], each 0…15; not a copy. */
    public byte[] zeros() {
        return zeros;
    }

    /** Returns scales [outFeatures, groups] as fp16 bits; not a copy. */
    public short[] scales() {
        return scales;
    }

    /** Returns a copy of {@code count} rows from {@code first} on: one of the linears that are fused in this one. */
    public QuantizedLinear rows(int first, int count) {
        int rowBytes = inFeatures / 2;
        return new QuantizedLinear(
                count,
                inFeatures,
                spec(),
                Arrays.copyOfRange(codes, first * rowBytes, (first + count) * rowBytes),
                Arrays.copyOfRange(zeros, first * groups, (first + count) * groups),
                Arrays.copyOfRange(scales, first * groups, (first + count) * groups));
    }

    /**
     * Returns the linear with each row divided by a number: the same codes and zeros, scales rounded to fp16.
     *
     * @param divisors [outFeatures], above 0
     */
    public QuantizedLinear withDividedRows(float[] divisors) {
        require("divisors", divisors.length, outFeatures);
        short[] divided = new short[scales.length];
        for (int i = 0; i < divided.length; i++) {
            float scale = Float.float16ToFloat(scales[i]) / divisors[i / groups];
            divided[i] = Float.floatToFloat16(Math.clamp(scale, Half.MIN_VALUE, Half.MAX));
        }
        return new QuantizedLinear(outFeatures, inFeatures, spec(), codes, zeros, divided);
    }

    /**
     * Returns the linear with other scales: the same codes and zeros.
     *
     * @param others [outFeatures, groups] fp16 bits
     */
    public QuantizedLinear withScales(short[] others) {
        return new QuantizedLinear(outFeatures, inFeatures, spec(), codes, zeros, others);
    }

    /**
     * Returns the linear with other codes: the same zeros and scales.
     *
     * @param others [outFeatures, inFeatures / 2], as {@link #codes}
     */
    public QuantizedLinear withCodes(byte[] others) {
        return new QuantizedLinear(outFeatures, inFeatures, spec(), others, zeros, scales);
    }

    /** Returns the linear with a copy of its codes, which may be changed. */
    public QuantizedLinear withOwnCodes() {
        return withCodes(codes.clone());
    }

    private QuantizationSpec spec() {
        return new QuantizationSpec(4, groups == 1 ? QuantizationSpec.WHOLE_ROW : groupSize);
    }

    /** Returns the code 0…15 of one weight. */
    public int code(int row, int column) {
        int pair = codes[(int) (((long) row * inFeatures + column) >> 1)];
        return (column & 1) == 0 ? pair & 15 : (pair >> 4) & 15;
    }

    @Override
    public void dequantize(int row, float[] into, int offset) {
        float[] values = new float[16];
        int at = (int) ((long) row * inFeatures >> 1);
        for (int group = 0; group < groups; group++) {
            float scale = Float.float16ToFloat(scales[row * groups + group]);
            int zero = zeros[row * groups + group];
            for (int code = 0; code < 16; code++) {
                values[code] = Half.round((code - zero) * scale);
            }
            for (int column = 0; column < groupSize; column += 2) {
                int pair = codes[at++];
                into[offset++] = values[pair & 15];
                into[offset++] = values[(pair >> 4) & 15];
            }
        }
    }

    /** Returns all weights [outFeatures, inFeatures], row-major. */
    public float[] dequantize() {
        float[] all = new float[Math.multiplyExact(outFeatures, inFeatures)];
        for (int row = 0; row < outFeatures; row++) {
            dequantize(row, all, row * inFeatures);
        }
        return all;
    }
}
