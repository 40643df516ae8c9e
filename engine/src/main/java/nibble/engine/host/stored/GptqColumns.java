package nibble.engine.host.stored;

import static nibble.engine.host.vector.Lanes.COUNT;
import static nibble.engine.host.vector.Lanes.FLOATS;

import java.lang.ref.Reference;
import java.util.Arrays;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.VectorOperators;
import nibble.pack.layout.StoredCodes;

/**
 * GPTQ's layout: word [r, n] holds the codes of inputs 8r to 8r + 7 for output n, so lanes are outputs.
 *
 * <pre>
 * sums[n] += x[8r + i] · nibble i of word [r, n]
 * at the end of a group: out[n] += scale · (sums[n] − zero · Σ x)
 * </pre>
 *
 * <p>Nibbles are not shifted down: x is divided by 16^(i % 4) beforehand, and the upper half of a word is shifted once.
 * {@code (code − zero) · scale} is not rounded to fp16, as in {@link AwqColumns}.
 */
final class GptqColumns implements RowKernel {
    /** Pieces a thread should have, so that none waits long for the last. */
    private static final int PIECES_PER_THREAD = 4;

    private final StoredCodes codes;
    private final int outputs;
    private final int groups;
    private final int groupSize;
    private final int outputsPerPiece;

    /** @param codes by inputs */
    GptqColumns(StoredCodes codes, int threads) {
        this.codes = codes;
        this.outputs = codes.outFeatures();
        this.groups = codes.groups();
        this.groupSize = codes.inFeatures() / groups;
        this.outputsPerPiece = COUNT * Math.max(1, outputs / COUNT / (PIECES_PER_THREAD * threads));
    }

    @Override
    public int inputs() {
        return codes.inFeatures();
    }

    @Override
    public int pieces(int count) {
        return (outputs + outputsPerPiece - 1) / outputsPerPiece;
    }

    /** Returns x[8r + i] divided by 16^(i % 4), then the sum of each group. */
    @Override
    public float[] prepare(float[] x, int offset) {
        int columns = codes.inFeatures();
        float[] prepared = new float[columns + groups];
        for (int k = 0; k < columns; k++) {
            prepared[k] = Math.scalb(x[offset + k], -4 * (k % 4));
        }
        for (int group = 0; group < groups; group++) {
            prepared[columns + group] = Stored.sum(x, offset + group * groupSize, groupSize);
        }
        return prepared;
    }

    @Override
    public void run(int piece, float[] x, float[] out, int offset) {
        int columns = codes.inFeatures();
        long address = Stored.require(codes.codes(), 4L * (columns / 8) * outputs);
        int first = piece * outputsPerPiece;
        int end = Math.min(outputs, first + outputsPerPiece);
        float[] sums = new float[COUNT];
        Arrays.fill(out, offset + first, offset + end, 0f);
        for (int group = 0; group < groups; group++) {
            int words = group * groupSize / 8;
            for (int n = first; n < end; n += COUNT) {
                int count = Math.min(COUNT, end - n);
                if (count == COUNT) {
                    sum(address + 4 * ((long) words * outputs + n), x, 8 * words)
                            .intoArray(sums, 0);
                } else {
                    scalar(words, n, count, x, sums);
                }
                for (int l = 0; l < count; l++) {
                    float zeros = codes.zero(n + l, group) * x[columns + group];
                    out[offset + n + l] += Float.float16ToFloat(codes.scale(n + l, group)) * (sums[l] - zeros);
                }
            }
        }
        Reference.reachabilityFence(codes);
    }

    private FloatVector sum(long at, float[] x, int k) {
        FloatVector s0 = FloatVector.zero(FLOATS);
        FloatVector s1 = s0;
        FloatVector s2 = s0;
        FloatVector s3 = s0;
        for (int r = 0; r < groupSize / 8; r++) {
            IntVector low = Stored.words(at + 4L * r * outputs);
            IntVector high = low.lanewise(VectorOperators.LSHR, 16);
            int i = k + 8 * r;
            s0 = Stored.floats(low.and(0xf)).fma(FloatVector.broadcast(FLOATS, x[i]), s0);
            s1 = Stored.floats(low.and(0xf0)).fma(FloatVector.broadcast(FLOATS, x[i + 1]), s1);
            s2 = Stored.floats(low.and(0xf00)).fma(FloatVector.broadcast(FLOATS, x[i + 2]), s2);
            s3 = Stored.floats(low.and(0xf000)).fma(FloatVector.broadcast(FLOATS, x[i + 3]), s3);
            s0 = Stored.floats(high.and(0xf)).fma(FloatVector.broadcast(FLOATS, x[i + 4]), s0);
            s1 = Stored.floats(high.and(0xf0)).fma(FloatVector.broadcast(FLOATS, x[i + 5]), s1);
            s2 = Stored.floats(high.and(0xf00)).fma(FloatVector.broadcast(FLOATS, x[i + 6]), s2);
            s3 = Stored.floats(high.and(0xf000)).fma(FloatVector.broadcast(FLOATS, x[i + 7]), s3);
        }
        return s0.add(s1).add(s2.add(s3));
    }

    /** Outputs that are no whole vector. */
    private void scalar(int words, int n, int count, float[] x, float[] sums) {
        Arrays.fill(sums, 0f);
        for (int r = 0; r < groupSize / 8; r++) {
            for (int l = 0; l < count; l++) {
                int word = codes.word(n + l, words + r);
                for (int i = 0; i < 8; i++) {
                    int nibble = (word >>> 4 * i & 15) << 4 * (i % 4);
                    sums[l] = Math.fma(nibble, x[8 * (words + r) + i], sums[l]);
                }
            }
        }
    }
}
