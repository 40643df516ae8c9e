package nibble.pack.gguf;

import java.nio.ByteBuffer;

/**
 * Encodes the K types whose groups of 16 have a scale alone: {@code w = d·s·q} with signed integers s and q. The scale is
 * searched: for each of several steps the codes are rounded, and the step stays whose best scale leaves the least error,
 * weighted by the squares of the weights.
 */
final class SymmetricKBlocks {
    private static final int GROUPS = 16;

    private final float[] row;
    private final int from;
    private final int half;
    private final int mostScale;
    private final int[] scales = new int[GROUPS];
    /** From 0; {@code half} is the weight 0. */
    private final int[] codes = new int[256];

    private short d;

    private SymmetricKBlocks(float[] row, int from, int half, int mostScale) {
        this.row = row;
        this.from = from;
        this.half = half;
        this.mostScale = mostScale;
        encode();
    }

    static void q3(float[] row, int from, ByteBuffer b, int at) {
        SymmetricKBlocks block = new SymmetricKBlocks(row, from, 4, 32);
        for (int l = 0; l < 32; l++) {
            int mask = 0;
            for (int group = 0; group < 8; group++) {
                mask |= (block.codes[32 * group + l] >> 2) << group;
            }
            b.put(at + l, (byte) mask);
        }
        for (int half = 0; half < 2; half++) {
            for (int l = 0; l < 32; l++) {
                int packed = 0;
                for (int quarter = 0; quarter < 4; quarter++) {
                    packed |= (block.codes[128 * half + 32 * quarter + l] & 3) << 2 * quarter;
                }
                b.put(at + 32 + 32 * half + l, (byte) packed);
            }
        }
        for (int i = 0; i < 8; i++) {
            b.put(at + 96 + i, (byte) (block.scales[i] + 32 & 15 | (block.scales[i + 8] + 32 & 15) << 4));
        }
        for (int i = 0; i < 4; i++) {
            int high = 0;
            for (int j = 0; j < 4; j++) {
                high |= (block.scales[i + 4 * j] + 32 >> 4) << 2 * j;
            }
            b.put(at + 104 + i, (byte) high);
        }
        b.putShort(at + 108, block.d);
    }

    static void q6(float[] row, int from, ByteBuffer b, int at) {
        SymmetricKBlocks block = new SymmetricKBlocks(row, from, 32, 128);
        for (int half = 0; half < 2; half++) {
            for (int l = 0; l < 32; l++) {
                int[] q = new int[4];
                for (int quarter = 0; quarter < 4; quarter++) {
                    q[quarter] = block.codes[128 * half + 32 * quarter + l];
                }
                b.put(at + 64 * half + l, (byte) (q[0] & 15 | (q[2] & 15) << 4));
                b.put(at + 64 * half + 32 + l, (byte) (q[1] & 15 | (q[3] & 15) << 4));
                b.put(at + 128 + 32 * half + l, (byte) (q[0] >> 4 | (q[1] >> 4) << 2 | (q[2] >> 4) << 4 | (q[3] >> 4) << 6));
            }
        }
        for (int group = 0; group < GROUPS; group++) {
            b.put(at + 192 + group, (byte) block.scales[group]);
        }
        b.putShort(at + 208, block.d);
    }

    private void encode() {
        float[] exact = new float[GROUPS];
        float largest = 0;
        for (int group = 0; group < GROUPS; group++) {
            exact[group] = scale(from + 16 * group);
            if (Math.abs(exact[group]) > Math.abs(largest)) {
                largest = exact[group];
            }
        }
        // The largest scale becomes the most negative integer, which has one more step than the positive ones.
        d = Float.floatToFloat16(-largest / mostScale);
        float step = Float.float16ToFloat(d);
        for (int group = 0; group < GROUPS; group++) {
            scales[group] = step == 0 ? 0 : (int) Math.clamp(Math.rint(exact[group] / step), -mostScale, mostScale - 1);
            float scale = step * scales[group];
            for (int i = 16 * group; i < 16 * group + 16; i++) {
                double q = scale == 0 ? 0 : Math.clamp(Math.rint(row[from + i] / scale), -half, half - 1);
                codes[i] = half + (int) q;
            }
        }
    }

    private float scale(int start) {
        float largest = 0;
        for (int i = start; i < start + 16; i++) {
            if (Math.abs(row[i]) > Math.abs(largest)) {
                largest = row[i];
            }
        }
        if (largest == 0) {
            return 0;
        }
        double best = -1;
        double scale = 0;
        for (int attempt = -9; attempt <= 9; attempt++) {
            double inverse = -(half + 0.1 * attempt) / largest;
            double wqx = 0;
            double wqq = 0;
            for (int i = start; i < start + 16; i++) {
                double x = row[i];
                double q = Math.clamp(Math.rint(x * inverse), -half, half - 1);
                wqx += x * x * q * x;
                wqq += x * x * q * q;
            }
            // What the best scale, wqx / wqq, takes from the weighted error.
            if (wqq > 0 && wqx * wqx / wqq > best) {
                best = wqx * wqx / wqq;
                scale = wqx / wqq;
            }
        }
        return (float) scale;
    }
}
