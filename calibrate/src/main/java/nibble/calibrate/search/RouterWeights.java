package nibble.calibrate.search;

/**
 * Holds what chooses and weighs the experts of a layer, fp16 bits. A scale of the norm before it multiplies its
 * columns, and only powers of two do that without moving any logit: all of its bits stay those of the original.
 *
 * @param router [experts, hidden]
 * @param sharedGate [1, hidden]; empty where there is none
 * @param columns hidden
 */
public record RouterWeights(short[] router, short[] sharedGate, int columns) {
    /** The greatest power of two either way: enough for any channel, and far from fp16's ends. */
    private static final int MOST_EXPONENT = 8;

    /**
     * Returns the power of two next to each scale, or 1 for a channel where norm or columns would not stay exact.
     *
     * @param norm gain before the router, [hidden]
     */
    float[] exact(float[] scales, float[] norm) {
        float[] powers = new float[scales.length];
        for (int channel = 0; channel < powers.length; channel++) {
            int exponent = (int) Math.rint(StrictMath.log(scales[channel]) / StrictMath.log(2));
            float power = Math.scalb(1f, Math.clamp(exponent, -MOST_EXPONENT, MOST_EXPONENT));
            powers[channel] = staysExact(channel, power, norm[channel]) ? power : 1f;
        }
        return powers;
    }

    private boolean staysExact(int channel, float power, float gain) {
        float half = Float.float16ToFloat(Float.floatToFloat16(gain));
        return isHalf(half / power)
                && columnsStayExact(router, channel, power)
                && columnsStayExact(sharedGate, channel, power);
    }

    private boolean columnsStayExact(short[] weights, int channel, float power) {
        for (int at = channel; at < weights.length; at += columns) {
            if (!isHalf(Float.float16ToFloat(weights[at]) * power)) {
                return false;
            }
        }
        return true;
    }

    private static boolean isHalf(float value) {
        return Float.float16ToFloat(Float.floatToFloat16(value)) == value;
    }

    /** These weights with their columns multiplied by {@link #exact} scales. */
    RouterWeights scaled(float[] powers) {
        return new RouterWeights(scaled(router, powers), scaled(sharedGate, powers), columns);
    }

    private static short[] scaled(short[] weights, float[] powers) {
        short[] scaled = new short[weights.length];
        for (int i = 0; i < scaled.length; i++) {
            scaled[i] = Float.floatToFloat16(Float.float16ToFloat(weights[i]) * powers[i % powers.length]);
        }
        return scaled;
    }
}
