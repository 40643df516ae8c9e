package nibble.pack;

/** Turns codes into positions on the line of real numbers, which tuning moves in small steps, and back. */
public final class CodePositions {
    /** How far from the outermost codes a position may be: it still rounds to them, and soon comes back. */
    public static final float MARGIN = 0.49f;

    private CodePositions() {}

    /** Returns the codes of a linear as numbers, [outFeatures, inFeatures]. */
    public static float[] of(QuantizedLinear linear) {
        float[] positions = new float[Math.multiplyExact(linear.outFeatures(), linear.inFeatures())];
        byte[] pairs = linear.codes();
        for (int i = 0; i < pairs.length; i++) {
            positions[2 * i] = pairs[i] & 15;
            positions[2 * i + 1] = pairs[i] >> 4 & 15;
        }
        return positions;
    }

    /** Returns the code of a position at or above −{@link #MARGIN}. */
    static int code(float position) {
        return (int) (position + 0.5f);
    }

    /** Writes the codes of a row's positions into a linear. */
    public static void round(float[] positions, QuantizedLinear into, int row) {
        byte[] pairs = into.codes();
        int at = row * (into.inFeatures() / 2);
        for (int i = at; i < at + into.inFeatures() / 2; i++) {
            pairs[i] = (byte) (code(positions[2 * i]) | code(positions[2 * i + 1]) << 4);
        }
    }

    /** Returns the codes of positions, as {@link QuantizedLinear} has them. */
    public static byte[] round(float[] positions) {
        byte[] pairs = new byte[positions.length / 2];
        for (int i = 0; i < pairs.length; i++) {
            pairs[i] = (byte) (code(positions[2 * i]) | code(positions[2 * i + 1]) << 4);
        }
        return pairs;
    }
}
