package nibble.pack;

import java.util.Arrays;
import java.util.List;

/**
 * Holds a linear layer of 4-bit or 8-bit codes. Weight [row, column] is {@code (code − zero) · scale}, rounded once to
 * fp16, with one zero and one fp16 scale per row and group of consecutive input columns: what loaders that compute in
 * fp16 reconstruct.
 *
 * <p>Wraps the arrays it is given; whoever holds it must not change them once it is shared between threads.
 */
public final class QuantizedLinear implements PackedLinear {
    private final int outFeatures;
    private final int inFeatures;
    private final int groupSize;
    private final int groups;
    private final int bits;
    private final byte[] codes;
    private final byte[] zeros;
    private final short[] scales;

    /**
     * Makes a linear.
     *
     * @param codes [outFeatures, inFeatures / 2] two codes a byte, low nibble = even column; of more than 4 bits
     *     [outFeatures, inFeatures], a code a byte
     * @param zeros [outFeatures, groups], a byte without a sign each
     * @param scales [outFeatures, groups] fp16 bits
     */
    public QuantizedLinear(
            int outFeatures, int inFeatures, QuantizationSpec spec, byte[] codes, byte[] zeros, short[] scales) {
        spec.check("of a quantized linear", outFeatures, inFeatures);
        this.outFeatures = outFeatures;
        this.inFeatures = inFeatures;
        this.groups = spec.groups(inFeatures);
        this.groupSize = spec.columnsPerGroup(inFeatures);
        this.bits = spec.bits();
        this.codes = codes;
        this.zeros = zeros;
        this.scales = scales;
        require("codes", codes.length, (long) outFeatures * inFeatures / spec.codesPerByte());
        require("zeros", zeros.length, (long) outFeatures * groups);
        require("scales", scales.length, (long) outFeatures * groups);
    }

    /** Returns a linear of zeros, to be filled row by row. */
    public static QuantizedLinear blank(int outFeatures, int inFeatures, QuantizationSpec spec) {
        spec.check("of a quantized linear", outFeatures, inFeatures);
        int groups = spec.groups(inFeatures);
        int codeBytes = Math.toIntExact((long) outFeatures * inFeatures / spec.codesPerByte());
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
            if (part.inFeatures != first.inFeatures || part.groupSize != first.groupSize || part.bits != first.bits) {
                throw new IllegalArgumentException("linears of " + part.inFeatures + " and " + first.inFeatures
                        + " in-features, group sizes " + part.groupSize + " and " + first.groupSize + ", " + part.bits
                        + " and " + first.bits + " bits, cannot be one");
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

    /** Returns the bits of a code. */
    public int bits() {
        return bits;
    }

    /** Returns how many codes share a byte of {@link #codes}: two, or one where they have more than 4 bits. */
    public int codesPerByte() {
        return QuantizationSpec.codesPerByte(bits);
    }

    /** Returns the bytes of a row of {@link #codes}. */
    public int rowBytes() {
        return inFeatures / codesPerByte();
    }

    /** Returns the largest code. */
    public int maxCode() {
        return QuantizationSpec.maxCode(bits);
    }

    /** Returns the zero of symmetric codes. */
    public int middle() {
        return QuantizationSpec.middle(bits);
    }

    /**
     * Returns packed codes [outFeatures, inFeatures / 2], low nibble = even column; of more than 4 bits [outFeatures,
     * inFeatures]. Not a copy.
     */
    public byte[] codes() {
        return codes;
    }

    /** Returns zeros [outFeatures, groups], each a byte without a sign; not a copy. */
    public byte[] zeros() {
        return zeros;
    }

    /** Returns the zero of element {@code row * groups + group}, 0 to {@link #maxCode}. */
    public int zero(int cell) {
        return zeros[cell] & 0xff;
    }

    /** Returns scales [outFeatures, groups] as fp16 bits; not a copy. */
    public short[] scales() {
        return scales;
    }

    /** Returns a copy of {@code count} rows from {@code first} on: one of the linears that are fused in this one. */
    public QuantizedLinear rows(int first, int count) {
        int rowBytes = rowBytes();
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
     * @param others as {@link #codes}
     */
    public QuantizedLinear withCodes(byte[] others) {
        return new QuantizedLinear(outFeatures, inFeatures, spec(), others, zeros, scales);
    }

    /** Returns the linear with a copy of its codes, which may be changed. */
    public QuantizedLinear withOwnCodes() {
        return withCodes(codes.clone());
    }

    private QuantizationSpec spec() {
        return new QuantizationSpec(bits, groups == 1 ? QuantizationSpec.WHOLE_ROW : groupSize);
    }

    /** Returns the code of one weight, 0 to {@link #maxCode}. */
    public int code(int row, int column) {
        long at = (long) row * inFeatures + column;
        if (codesPerByte() == 1) {
            return codes[(int) at] & 0xff;
        }
        int pair = codes[(int) (at >> 1)];
        return (column & 1) == 0 ? pair & 15 : (pair >> 4) & 15;
    }

    /** Sets the codes of an even column and of the next one; rows may be written by several threads. */
    public void setCodes(int row, int column, int even, int odd) {
        long at = (long) row * inFeatures + column;
        if (codesPerByte() == 1) {
            codes[(int) at] = (byte) even;
            codes[(int) at + 1] = (byte) odd;
        } else {
            codes[(int) (at >> 1)] = (byte) (even | odd << 4);
        }
    }

    @Override
    public void dequantize(int row, float[] into, int offset) {
        float[] values = new float[16];
        int at = (int) ((long) row * rowBytes());
        for (int group = 0; group < groups; group++) {
            float scale = Float.float16ToFloat(scales[row * groups + group]);
            int zero = zero(row * groups + group);
            if (codesPerByte() == 1) {
                for (int column = 0; column < groupSize; column++) {
                    into[offset++] = Half.round(((codes[at++] & 0xff) - zero) * scale);
                }
                continue;
            }
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
