package nibble.checkpoint.gguf;

import java.nio.ByteBuffer;

/**
 * Decodes the K types: blocks of 256 in groups of 16 or 32, whose scales (and minima) are small integers times the
 * block's.
 *
 * <pre>
 * Q2_K  scales[16] (low nibble scale, high nibble minimum)  qs[64]   d  dmin
 * Q3_K  hmask[32]  qs[64]  scales[12] (16 of 6 bits)  d
 * Q4_K  d  dmin  scales[12] (8 scales and 8 minima of 6 bits)  qs[128]
 * Q5_K  d  dmin  scales[12]  qh[32]  qs[128]
 * Q6_K  ql[128]  qh[64]  scales[16] (int8)  d
 * </pre>
 */
final class KBlocks {
    private KBlocks() {}

    static void q2(ByteBuffer b, int at, float[] y, int to) {
        float d = BlockDecoder.half(b, at + 80);
        float min = BlockDecoder.half(b, at + 82);
        for (int group = 0; group < 16; group++) {
            int scale = b.get(at + group);
            float dl = d * (scale & 15);
            float ml = min * (scale >> 4 & 15);
            int q = at + 16 + 32 * (group / 8) + 16 * (group % 2);
            int shift = 2 * (group % 8 / 2);
            for (int l = 0; l < 16; l++) {
                y[to + 16 * group + l] = dl * (b.get(q + l) >> shift & 3) - ml;
            }
        }
    }

    static void q3(ByteBuffer b, int at, float[] y, int to) {
        float d = BlockDecoder.half(b, at + 108);
        for (int group = 0; group < 16; group++) {
            float dl = d * (q3Scale(b, at + 96, group) - 32);
            int q = at + 32 + 32 * (group / 8) + 16 * (group % 2);
            int mask = at + 16 * (group % 2);
            int shift = 2 * (group % 8 / 2);
            int bit = group / 2;
            for (int l = 0; l < 16; l++) {
                int low = b.get(q + l) >> shift & 3;
                int high = b.get(mask + l) >> bit & 1;
                y[to + 16 * group + l] = dl * (low - (high == 1 ? 0 : 4));
            }
        }
    }

    /** Low nibbles of scales 0 to 7 and of 8 to 15 share bytes 0 to 7; bytes 8 to 11 hold the high pairs of bits. */
    private static int q3Scale(ByteBuffer b, int at, int group) {
        int low = group < 8 ? b.get(at + group) & 15 : b.get(at + group - 8) >> 4 & 15;
        int high = b.get(at + 8 + group % 4) >> 2 * (group / 4) & 3;
        return low | high << 4;
    }

    /** The 6-bit scale of group j of Q4_K and Q5_K. */
    static int scale(ByteBuffer b, int at, int j) {
        return j < 4 ? b.get(at + j) & 63 : b.get(at + j + 4) & 15 | (b.get(at + j - 4) >> 6 & 3) << 4;
    }

    /** The 6-bit minimum of group j of Q4_K and Q5_K. */
    static int minimum(ByteBuffer b, int at, int j) {
        return j < 4 ? b.get(at + j + 4) & 63 : b.get(at + j + 4) >> 4 & 15 | (b.get(at + j) >> 6 & 3) << 4;
    }

    static void q4(ByteBuffer b, int at, float[] y, int to) {
        float d = BlockDecoder.half(b, at);
        float min = BlockDecoder.half(b, at + 2);
        for (int group = 0; group < 8; group++) {
            float dl = d * scale(b, at + 4, group);
            float ml = min * minimum(b, at + 4, group);
            int q = at + 16 + 32 * (group / 2);
            int shift = 4 * (group % 2);
            for (int l = 0; l < 32; l++) {
                y[to + 32 * group + l] = dl * (b.get(q + l) >> shift & 15) - ml;
            }
        }
    }

    static void q5(ByteBuffer b, int at, float[] y, int to) {
        float d = BlockDecoder.half(b, at);
        float min = BlockDecoder.half(b, at + 2);
        for (int group = 0; group < 8; group++) {
            float dl = d * scale(b, at + 4, group);
            float ml = min * minimum(b, at + 4, group);
            int q = at + 48 + 32 * (group / 2);
            int shift = 4 * (group % 2);
            for (int l = 0; l < 32; l++) {
                int high = b.get(at + 16 + l) >> group & 1;
                y[to + 32 * group + l] = dl * ((b.get(q + l) >> shift & 15) + 16 * high) - ml;
            }
        }
    }

    static void q6(ByteBuffer b, int at, float[] y, int to) {
        float d = BlockDecoder.half(b, at + 208);
        for (int half = 0; half < 2; half++) {
            for (int quarter = 0; quarter < 4; quarter++) {
                int ql = at + 64 * half + 32 * (quarter % 2);
                int lowShift = 4 * (quarter / 2);
                for (int l = 0; l < 32; l++) {
                    int low = b.get(ql + l) >> lowShift & 15;
                    int high = b.get(at + 128 + 32 * half + l) >> 2 * quarter & 3;
                    int scale = b.get(at + 192 + 8 * half + 2 * quarter + l / 16);
                    y[to + 128 * half + 32 * quarter + l] = d * scale * ((low | high << 4) - 32);
                }
            }
        }
    }
}
