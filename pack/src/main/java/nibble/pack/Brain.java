package nibble.pack;

/** Rounds to bfloat16, the upper half of fp32. */
public final class Brain {
    private Brain() {}

    /** Returns the bits of the nearest value, ties to even, of a finite number. */
    public static short bits(float value) {
        int bits = Float.floatToRawIntBits(value);
        return (short) ((bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16);
    }

    /** Returns the nearest value, ties to even, of a finite number. */
    public static float round(float value) {
        return Float.intBitsToFloat(bits(value) << 16);
    }
}
