package nibble.engine.host.stored;

import static nibble.engine.host.vector.Lanes.COUNT;
import static nibble.engine.host.vector.Lanes.FLOATS;

import java.lang.foreign.MemorySegment;
import java.lang.ref.Reference;
import java.util.Arrays;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.VectorOperators;
import nibble.pack.layout.AwqLayout;

/**
 * AWQ's layout: word [k, c] holds the codes of input k for outputs 8c to 8c + 7, so lanes are words.
 *
 * <pre>
 * a piece: some words of every row k, a vector at a time
 *
 * qweight [k]  ░░░▓▓▓▓▓░░░     sums_i += x[k] · nibble_i    for the eight nibbles i of a word
 *         [k+1]░░░▓▓▓▓▓░░░     at the end of a group: out[8c + ORDER[i]] += scale · (sums_i − zero · Σ x)
 * </pre>
 *
 * <p>Nibbles are not shifted down: nibble i counts 16^i times, and the scale is divided by that. Unlike the dense
 * weights that loaders rebuild, {@code (code − zero) · scale} is not rounded to fp16: each weight differs by at most
 * 2^-11 of itself.
 */
final class AwqColumns implements RowKernel {
    /** Pieces a thread should have, so that none waits long for the last. */
    private static final int PIECES_PER_THREAD = 4;

    private final AwqLayout.AwqLinear linear;
    private final int words;
    private final int groups;
    private final int groupSize;
    private final int wordsPerPiece;

    /** @param threads that share the pieces: the fewer, the longer the runs of a row of words that one reads */
    AwqColumns(AwqLayout.AwqLinear linear, int threads) {
        this.linear = linear;
        this.words = linear.outFeatures() / 8;
        this.groups = linear.spec().groups(linear.inFeatures());
        this.groupSize = linear.inFeatures() / groups;
        int vectors = words / COUNT / (PIECES_PER_THREAD * threads);
        this.wordsPerPiece = COUNT * Math.max(1, vectors);
    }

    @Override
    public int inputs() {
        return linear.inFeatures();
    }

    @Override
    public int pieces(int count) {
        return (words + wordsPerPiece - 1) / wordsPerPiece;
    }

    /** Returns x, then the sum of each group. */
    @Override
    public float[] prepare(float[] x, int offset) {
        int columns = linear.inFeatures();
        float[] prepared = Stored.copy(x, offset, columns, groups);
        for (int group = 0; group < groups; group++) {
            prepared[columns + group] = Stored.sum(prepared, group * groupSize, groupSize);
        }
        return prepared;
    }

    @Override
    public void run(int piece, float[] x, float[] out, int offset) {
        long codes = Stored.require(linear.tensors().qweight(), 4L * linear.inFeatures() * words);
        int first = piece * wordsPerPiece;
        int end = Math.min(words, first + wordsPerPiece);
        Arrays.fill(out, offset + 8 * first, offset + 8 * end, 0f);
        float[] sums = new float[8 * COUNT];
        for (int group = 0; group < groups; group++) {
            int word = first;
            for (; word + COUNT <= end; word += COUNT) {
                long at = codes + 4 * ((long) group * groupSize * words + word);
                lowNibbles(x, group * groupSize, at, sums);
                highNibbles(x, group * groupSize, at, sums);
                add(group, word, COUNT, sums, x, out, offset);
            }
            if (word < end) {
                scalar(x, group, word, end - word, sums);
                add(group, word, end - word, sums, x, out, offset);
            }
        }
        Reference.reachabilityFence(linear);
    }

    /** Four sums at a time and their four masks stay in registers; eight would not. */
    private void lowNibbles(float[] x, int from, long at, float[] sums) {
        FloatVector s0 = FloatVector.zero(FLOATS);
        FloatVector s1 = s0;
        FloatVector s2 = s0;
        FloatVector s3 = s0;
        for (int k = 0; k < groupSize; k++) {
            IntVector q = Stored.words(at + 4L * k * words);
            FloatVector xk = FloatVector.broadcast(FLOATS, x[from + k]);
            s0 = Stored.floats(q.and(0xf)).fma(xk, s0);
            s1 = Stored.floats(q.and(0xf0)).fma(xk, s1);
            s2 = Stored.floats(q.and(0xf00)).fma(xk, s2);
            s3 = Stored.floats(q.and(0xf000)).fma(xk, s3);
        }
        s0.intoArray(sums, 0);
        s1.intoArray(sums, COUNT);
        s2.intoArray(sums, 2 * COUNT);
        s3.intoArray(sums, 3 * COUNT);
    }

    private void highNibbles(float[] x, int from, long at, float[] sums) {
        FloatVector s0 = FloatVector.zero(FLOATS);
        FloatVector s1 = s0;
        FloatVector s2 = s0;
        FloatVector s3 = s0;
        for (int k = 0; k < groupSize; k++) {
            IntVector q = Stored.words(at + 4L * k * words).lanewise(VectorOperators.LSHR, 16);
            FloatVector xk = FloatVector.broadcast(FLOATS, x[from + k]);
            s0 = Stored.floats(q.and(0xf)).fma(xk, s0);
            s1 = Stored.floats(q.and(0xf0)).fma(xk, s1);
            s2 = Stored.floats(q.and(0xf00)).fma(xk, s2);
            s3 = Stored.floats(q.and(0xf000)).fma(xk, s3);
        }
        s0.intoArray(sums, 4 * COUNT);
        s1.intoArray(sums, 5 * COUNT);
        s2.intoArray(sums, 6 * COUNT);
        s3.intoArray(sums, 7 * COUNT);
    }

    /** Words that are no whole vector. */
    private void scalar(float[] x, int group, int word, int count, float[] sums) {
        Arrays.fill(sums, 0f);
        for (int k = group * groupSize; k < (group + 1) * groupSize; k++) {
            for (int l = 0; l < count; l++) {
                int q = linear.tensors().qweight().get(Stored.INT, 4 * ((long) k * words + word + l));
                for (int i = 0; i < 8; i++) {
                    int nibble = (q >>> 4 * i & 15) << 4 * (i % 4);
                    sums[i * COUNT + l] = Math.fma(nibble, x[k], sums[i * COUNT + l]);
                }
            }
        }
    }

    private void add(int group, int word, int count, float[] sums, float[] x, float[] out, int offset) {
        MemorySegment zeros = linear.tensors().qzeros();
        MemorySegment scales = linear.tensors().scales();
        float sumOfX = x[linear.inFeatures() + group];
        for (int l = 0; l < count; l++) {
            int zero = zeros.get(Stored.INT, 4 * ((long) group * words + word + l));
            for (int i = 0; i < 8; i++) {
                int output = 8 * (word + l) + AwqLayout.output(i);
                float scale = Float.float16ToFloat(
                        scales.get(Stored.SHORT, 2 * ((long) group * linear.outFeatures() + output)));
                float codesTimesX = sums[i * COUNT + l] * POWERS[i % 4];
                out[offset + output] += scale * Math.fma(-(zero >>> 4 * i & 15), sumOfX, codesTimesX);
            }
        }
    }

    private static final float[] POWERS = {1f, 0x1p-4f, 0x1p-8f, 0x1p-12f};
}
