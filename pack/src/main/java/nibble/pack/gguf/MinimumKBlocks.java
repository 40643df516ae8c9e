package nibble.pack.gguf;

import java.nio.ByteBuffer;

/**
 * Encodes the K types whose groups have a scale and a minimum: {@code w = d·s·q − dmin·m} with small integers s and m.
 *
 * <p>A group's scale and minimum are searched: for each of several steps between values the codes are rounded, then scale and
 * minimum are fitted to them by weighted least squares, and the pair of least weighted error stays. Larger weights count
 * more, as they carry more of the output: the weight of x is its magnitude plus the group's root mean square.
 */
final class MinimumKBlocks {
    /** How a type divides its 256 elements. */
    private record Form(int groups, int groupElements, int mostCode, int mostScale) {}

    private static final Form Q2 = new Form(16, 16, 3, 15);
    private static final Form Q4 = new Form(8, 32, 15, 63);
    private static final Form Q5 = new Form(8, 32, 31, 63);

    /** Steps tried, as the number of codes that the range is divided into: from {@code most - 1} on, in tenths. */
    private static final int TRIES = 21;

    private final Form form;
    private final float[] row;
    private final int from;
    private final int[] scales;
    private final int[] minima;
    private final int[] codes = new int[256];
    private short d;
    private short dmin;

    private MinimumKBlocks(Form form, float[] row, int from) {
        this.form = form;
        this.row = row;
        this.from = from;
        this.scales = new int[form.groups()];
        this.minima = new int[form.groups()];
        encode();
    }

    static void q2(float[] row, int from, ByteBuffer b, int at) {
        MinimumKBlocks block = new MinimumKBlocks(Q2, row, from);
        for (int group = 0; group < 16; group++) {
            b.put(at + group, (byte) (block.scales[group] | block.minima[group] << 4));
        }
        for (int half = 0; half < 2; half++) {
            for (int l = 0; l < 32; l++) {
                int packed = 0;
                for (int quarter = 0; quarter < 4; quarter++) {
                    packed |= block.codes[128 * half + 32 * quarter + l] << 2 * quarter;
                }
                b.put(at + 16 + 32 * half + l, (byte) packed);
            }
        }
        b.putShort(at + 80, block.d);
        b.putShort(at + 82, block.dmin);
    }

    static void q4(float[] row, int from, ByteBuffer b, int at) {
        MinimumKBlocks block = new MinimumKBlocks(Q4, row, from);
        block.putHead(b, at);
        block.putNibbles(b, at + 16);
    }

    static void q5(float[] row, int from, ByteBuffer b, int at) {
        MinimumKBlocks block = new MinimumKBlocks(Q5, row, from);
        block.putHead(b, at);
        for (int l = 0; l < 32; l++) {
            int high = 0;
            for (int group = 0; group < 8; group++) {
                high |= (block.codes[32 * group + l] >> 4) << group;
            }
            b.put(at + 16 + l, (byte) high);
        }
        block.putNibbles(b, at + 48);
    }

    /** d, dmin, and eight scales and minima of 6 bits in 12 bytes. */
    private void putHead(ByteBuffer b, int at) {
        b.putShort(at, d);
        b.putShort(at + 2, dmin);
        for (int j = 0; j < 4; j++) {
            b.put(at + 4 + j, (byte) (scales[j] | (scales[j + 4] >> 4) << 6));
            b.put(at + 8 + j, (byte) (minima[j] | (minima[j + 4] >> 4) << 6));
            b.put(at + 12 + j, (byte) (scales[j + 4] & 15 | (minima[j + 4] & 15) << 4));
        }
    }

    private void putNibbles(ByteBuffer b, int at) {
        for (int pair = 0; pair < 4; pair++) {
            for (int l = 0; l < 32; l++) {
                int low = codes[64 * pair + l] & 15;
                int high = codes[64 * pair + 32 + l] & 15;
                b.put(at + 32 * pair + l, (byte) (low | high << 4));
            }
        }
    }

    private void encode() {
        float[] exactScale = new float[form.groups()];
        float[] exactMinimum = new float[form.groups()];
        float mostScale = 0;
        float mostMinimum = 0;
        for (int group = 0; group < form.groups(); group++) {
            fit(group, exactScale, exactMinimum);
            mostScale = Math.max(mostScale, exactScale[group]);
            mostMinimum = Math.max(mostMinimum, exactMinimum[group]);
        }
        d = Float.floatToFloat16(mostScale / form.mostScale());
        dmin = Float.floatToFloat16(mostMinimum / form.mostScale());
        float step = Float.float16ToFloat(d);
        float minimumStep = Float.float16ToFloat(dmin);
        for (int group = 0; group < form.groups(); group++) {
            scales[group] = rounded(exactScale[group], step);
            minima[group] = rounded(exactMinimum[group], minimumStep);
            float scale = step * scales[group];
            float minimum = minimumStep * minima[group];
            for (int i = 0; i < form.groupElements(); i++) {
                int element = group * form.groupElements() + i;
                codes[element] = scale == 0 ? 0 : code((row[from + element] + minimum) / scale);
            }
        }
    }

    private int rounded(float exact, float step) {
        return step == 0 ? 0 : (int) Math.clamp(Math.rint(exact / step), 0, form.mostScale());
    }

    private int code(float steps) {
        return (int) Math.clamp(Math.rint(steps), 0, form.mostCode());
    }

    /** The scale, and how far the smallest value lies below 0, of one group. */
    private void fit(int group, float[] scale, float[] minimum) {
        int start = from + group * form.groupElements();
        float low = 0;
        float high = Float.NEGATIVE_INFINITY;
        double squares = 0;
        for (int i = start; i < start + form.groupElements(); i++) {
            low = Math.min(low, row[i]);
            high = Math.max(high, row[i]);
            squares += (double) row[i] * row[i];
        }
        if (high <= low) {
            // All are one number of at most 0: the minimum alone gives it.
            minimum[group] = -low;
            return;
        }
        double rootMeanSquare = Math.sqrt(squares / form.groupElements());
        double least = Double.POSITIVE_INFINITY;
        for (int attempt = 0; attempt < TRIES; attempt++) {
            double inverse = (form.mostCode() - 1 + 0.1 * attempt) / (high - low);
            Fit fit = fit(start, low, inverse, rootMeanSquare);
            if (fit.error() < least && fit.scale() > 0) {
                least = fit.error();
                scale[group] = (float) fit.scale();
                minimum[group] = (float) -fit.offset();
            }
        }
    }

    private record Fit(double scale, double offset, double error) {}

    /** Least squares for {@code scale·q + offset ≈ x} with the codes of one step; the offset is at most 0. */
    private Fit fit(int start, float low, double inverse, double rootMeanSquare) {
        double w = 0;
        double wq = 0;
        double wqq = 0;
        double wx = 0;
        double wqx = 0;
        double wxx = 0;
        for (int i = start; i < start + form.groupElements(); i++) {
            double x = row[i];
            double weight = rootMeanSquare + Math.abs(x);
            double q = Math.clamp(Math.rint((x - low) * inverse), 0, form.mostCode());
            w += weight;
            wq += weight * q;
            wqq += weight * q * q;
            wx += weight * x;
            wqx += weight * q * x;
            wxx += weight * x * x;
        }
        double determinant = w * wqq - wq * wq;
        double scale = determinant > 0 ? (w * wqx - wx * wq) / determinant : 0;
        double offset = determinant > 0 ? (wqq * wx - wq * wqx) / determinant : 0;
        if (offset > 0 || determinant <= 0) {
            offset = 0;
            scale = wqq > 0 ? wqx / wqq : 0;
        }
        double error = wxx + scale * scale * wqq + offset * offset * w + 2 * scale * offset * wq - 2 * scale * wqx - 2 * offset * wx;
        return new Fit(scale, offset, error);
    }
}
