package nibble.pack;

/** Holds facts of fp16 (IEEE 754 binary16) and rounds to it. */
public final class Half {
    /** The largest finite value. */
    public static final float MAX = 65504f;

    /** The smallest normal value, 2^−14. */
    public static final float MIN_NORMAL = 0x1p-14f;

    /** The smallest value above zero, 2^−24. */
    public static final float MIN_VALUE = 0x1p-24f;

    private Half() {}

    /** Returns the nearest fp16 value, ties to even; infinite beyond 65519.99. */
    public static float round(float value) {
        return Float.float16ToFloat(Float.floatToFloat16(value));
    }
}
