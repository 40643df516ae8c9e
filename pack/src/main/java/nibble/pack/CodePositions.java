package nibble.pack;

/** Turns codes into positions on the line of real numbers, which tuning moves in small steps, and back. */
public final class CodePositions {
    /** How far from the outermost codes a position may be: it still rounds to them, and soon comes back. */
    public static final float MARGIN = 0.49f;

    private CodePositions() {}

    /** Returns the codes of a linear as numbers, [outFeatures, inFeatures]. */
    public static float[] of(QuantizedLinear linear) {
        float[] positions = new float[Math.multiplyExact(linear.outFeatures(), linear.inFeatures())];
        byte[] codes = linear.codes();
        if (linear.codesPerByte() == 1) {
            for (int i = 0; i < codes.length; i++) {
                positions[i] = codes[i] & 0xff;
            }
            return positions;
        }
        for (int i = 0; i < codes.length; i++) {
            positions[2 * i] = codes[i] & 15;
            positions[2 * i + 1] = codes[i] >> 4 & 15;
        }
        return positions;
    }

    /** Returns the code of a position at or above −{@link #MARGIN}. */
    static int code(float position) {
        return (int) (position + 0.5f);
    }

    /** Writes the codes of a row's positions into a linear. */
    public static void round(float[] positions, QuantizedLinear into, int row) {
        round(positions, into.codesPerByte(), row * into.rowBytes(), (row + 1) * into.rowBytes(), into.codes());
    }

    /** Returns the codes of positions, as {@link QuantizedLinear} has them, so many to a byte. */
    public static byte[] round(float[] positions, int codesPerByte) {
        byte[] codes = new byte[positions.length / codesPerByte];
        round(positions, codesPerByte, 0, codes.length, codes);
        return codes;
    }

    private static void round(float[] positions, int codesPerByte, int from, int to, byte[] codes) {
        for (int i = from; i < to; i++) {
            codes[i] = (byte)
                    (codesPerByte == 1 ? code(positions[i]) : code(positions[2 * i]) | code(positions[2 * i + 1]) << 4);
        }
    }
}
