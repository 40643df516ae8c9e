package nibble.convert.blocks;

import nibble.checkpoint.gguf.BlockDecoder;

/** Encodes blocks of MXFP4 with the bytes of ggml's own reference: a power of two by the largest magnitude. */
final class MxEncoder {
    private static final int ELEMENTS = 32;
    private static final int BIAS = 127;

    /** The exponent of the largest code, 6. */
    private static final int TOP = 2;

    private MxEncoder() {}

    /** Encodes a block: a byte of exponent, then 16 pairs of codes. */
    static void encode(float[] row, int from, byte[] out, int at) {
        float largest = 0;
        for (int i = 0; i < ELEMENTS; i++) {
            largest = Math.max(largest, Math.abs(row[from + i]));
        }
        int exponent = 0;
        if (largest > 0) {
            // As ggml's log2f, which rounds what is next to a power of two to it.
            float log = (float) (StrictMath.log(largest) / StrictMath.log(2));
            exponent = Math.clamp((long) Math.floor(log) - TOP + BIAS, 0, 254);
        }
        out[at] = (byte) exponent;
        float d = BlockDecoder.halfPowerOfTwo(exponent);
        for (int j = 0; j < ELEMENTS / 2; j++) {
            out[at + 1 + j] = (byte) (nearest(row[from + j], d) | nearest(row[from + j + ELEMENTS / 2], d) << 4);
        }
    }

    /** Returns the code with the least error; of several the first. */
    private static int nearest(float x, float d) {
        int best = 0;
        float least = Float.POSITIVE_INFINITY;
        for (int code = 0; code < 16; code++) {
            float error = Math.abs(BlockDecoder.e2m1Doubled(code) * d - x);
            if (error < least) {
                least = error;
                best = code;
            }
        }
        return best;
    }
}
