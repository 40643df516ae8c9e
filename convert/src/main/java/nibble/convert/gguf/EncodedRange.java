package nibble.convert.gguf;

import java.lang.foreign.MemorySegment;
import nibble.checkpoint.gguf.BlockDecoder;
import nibble.checkpoint.gguf.GgufType;
import nibble.pack.Half;

/** Whether a type's numbers reach as far as the weights do: numbers of F16, and scales of blocks, are fp16 in GGUF. */
final class EncodedRange {
    private EncodedRange() {}

    static boolean holds(GgufType type, float[] values, byte[] encoded) {
        float largest = largest(values);
        // No scale is larger than the largest weight.
        if (largest <= Half.MAX || type == GgufType.F32 || type == GgufType.BF16) {
            return true;
        }
        return type == GgufType.F16 ? Float.isFinite(Half.round(largest)) : areFinite(type, values.length, encoded);
    }

    /** Returns the largest magnitude, an infinity or NaN where there is one. Compilers vectorize this loop. */
    static float largest(float[] values) {
        int bits = 0;
        for (float value : values) {
            bits = Math.max(bits, Float.floatToRawIntBits(value) & 0x7fffffff);
        }
        return Float.intBitsToFloat(bits);
    }

    private static boolean areFinite(GgufType type, int elements, byte[] encoded) {
        float[] decoded = new float[elements];
        BlockDecoder.decode(type, MemorySegment.ofArray(encoded), MemorySegment.ofArray(decoded));
        return Float.isFinite(largest(decoded));
    }
}
