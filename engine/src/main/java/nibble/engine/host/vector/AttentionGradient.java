package nibble.engine.host.vector;

import static nibble.engine.host.vector.Lanes.COUNT;
import static nibble.engine.host.vector.Lanes.FLOATS;
import static nibble.engine.host.vector.MicroKernel.DEPTH;
import static nibble.engine.host.vector.MicroKernel.PANEL;

import java.util.Arrays;
import jdk.incubator.vector.FloatVector;
import nibble.engine.attention.AttentionShape;

/**
 * Computes the gradient of causal attention for one key/value head of one sequence. It makes the scores P anew, for
 * {@value #QUERIES} queries at a time:
 *
 * <pre>
 * dV += Pᵀ dO        dS = P ⊙ (dO Vᵀ − Σ dO ⊙ O)        dQ = scale dS K        dK += scale dSᵀ Q
 * </pre>
 */
public final class AttentionGradient {
    private static final int QUERIES = 64;

    private final AttentionShape shape;
    private final int length;
    private final int width;
    /** Rows of the sequence's first token in matrices of queries and of keys. */
    private final int queryStart;

    private final int keyStart;
    private final float scale;
    private final float[] keysByKey;
    private final float[] valuesByKey;
    private final float[] keysByColumn;
    private final float[] dKeys;
    private final float[] dValues;
    private final float[] scores;
    private final float[] slopes;
    private final float[] scoresByKey;
    private final float[] slopesByKey;
    private final float[] sums;
    /** Slopes of the cap of a row's scores; empty where there is none. */
    private final float[] capSlopes;

    private AttentionGradient(
            AttentionShape shape, int length, int sequence, int kvHead, float[] keys, float[] values) {
        this.shape = shape;
        this.length = length;
        int d = shape.headDim();
        this.width = (d + PANEL - 1) / PANEL * PANEL;
        this.queryStart = sequence * length * shape.queryColumns();
        this.keyStart = sequence * length * shape.keyColumns() + kvHead * d;
        this.scale = shape.scale();
        int padded = (length + PANEL - 1) / PANEL * PANEL;
        this.keysByKey = byKey(keys);
        this.valuesByKey = byKey(values);
        this.keysByColumn = byColumn(keys, keyStart, shape.keyColumns(), length, 1);
        this.dKeys = new float[length * width];
        this.dValues = new float[length * width];
        this.scores = new float[QUERIES * padded];
        this.slopes = new float[QUERIES * padded];
        this.scoresByKey = new float[QUERIES * padded];
        this.slopesByKey = new float[QUERIES * padded];
        this.sums = new float[QUERIES * width];
        this.capSlopes = shape.caps() ? new float[padded] : new float[0];
    }

    /**
     * Computes one task.
     *
     * @param task {@code sequence * kvHeads + kvHead}
     * @param length tokens of a sequence
     */
    public static void run(
            AttentionShape shape,
            int length,
            int task,
            float[] query,
            float[] keys,
            float[] values,
            float[] out,
            float[] dOut,
            float[] dQuery,
            float[] dKeys,
            float[] dValues) {
        int sequence = task / shape.kvHeads();
        int kvHead = task % shape.kvHeads();
        AttentionGradient work = new AttentionGradient(shape, length, sequence, kvHead, keys, values);
        int shared = shape.heads() / shape.kvHeads();
        for (int head = kvHead * shared; head < (kvHead + 1) * shared; head++) {
            for (int first = 0; first < length; first += QUERIES) {
                work.block(head, first, query, out, dOut, dQuery);
            }
        }
        work.store(work.dKeys, dKeys);
        work.store(work.dValues, dValues);
    }

    private void store(float[] from, float[] to) {
        for (int j = 0; j < length; j++) {
            System.arraycopy(from, j * width, to, keyStart + j * shape.keyColumns(), shape.headDim());
        }
    }

    /** Panels [head_dim][32 keys], one after another. */
    private float[] byKey(float[] from) {
        int d = shape.headDim();
        float[] packed = new float[(length + PANEL - 1) / PANEL * d * PANEL];
        for (int j = 0; j < length; j++) {
            int at = keyStart + j * shape.keyColumns();
            int to = j / PANEL * d * PANEL + j % PANEL;
            for (int i = 0; i < d; i++) {
                packed[to + i * PANEL] = from[at + i];
            }
        }
        return packed;
    }

    /** Panels [rows][32 columns of a head], one after another, the last filled up with zeros. */
    private float[] byColumn(float[] from, int start, int stride, int rows, float factor) {
        int d = shape.headDim();
        float[] packed = new float[rows * width];
        for (int j = 0; j < rows; j++) {
            for (int i = 0; i < d; i++) {
                packed[(i / PANEL * rows + j) * PANEL + i % PANEL] = from[start + j * stride + i] * factor;
            }
        }
        return packed;
    }

    private void block(int head, int first, float[] query, float[] out, float[] dOut, float[] dQuery) {
        int d = shape.headDim();
        int rows = Math.min(QUERIES, length - first);
        int stride = shape.queryColumns();
        int at = queryStart + first * stride + head * d;
        int start = shape.firstSeen(first) / PANEL * PANEL;
        int count = first + rows - start;
        int padded = (count + PANEL - 1) / PANEL * PANEL;
        products(rows, query, at, keysByKey, start, padded, scores);
        products(rows, dOut, at, valuesByKey, start, padded, slopes);
        for (int r = 0; r < rows; r++) {
            int position = first + r;
            softmax(r * padded, shape.firstSeen(position) - start, position + 1 - start, padded);
            float mean = Gemv.dot(dOut, at + r * stride, out, at + r * stride, d);
            slopes(r * padded, padded, mean);
            for (int j = 0; j < capSlopes.length && j < padded; j++) {
                slopes[r * padded + j] *= capSlopes[j];
            }
        }
        transpose(scores, rows, padded, count, scoresByKey);
        transpose(slopes, rows, padded, count, slopesByKey);
        accumulate(scoresByKey, count, rows, byColumn(dOut, at, stride, rows, 1), dValues, start);
        accumulate(slopesByKey, count, rows, byColumn(query, at, stride, rows, scale), dKeys, start);
        for (int panel = 0; panel < width; panel += PANEL) {
            for (int from = 0; from < count; from += DEPTH) {
                int depth = Math.min(DEPTH, count - from);
                int b = panel * length + (start + from) * PANEL;
                MicroKernel.multiply(rows, slopes, from, padded, keysByColumn, b, depth, sums, panel, width, from > 0);
            }
        }
        for (int r = 0; r < rows; r++) {
            for (int i = 0; i < d; i++) {
                dQuery[at + r * stride + i] = scale * sums[r * width + i];
            }
        }
    }

    /** {@code into[r, j] = Σ_i a[r, i] b[start + j, i]} for {@code padded} rows j of b. */
    private void products(int rows, float[] a, int at, float[] byKey, int start, int padded, float[] into) {
        int d = shape.headDim();
        for (int j = 0; j < padded; j += PANEL) {
            for (int from = 0; from < d; from += DEPTH) {
                int depth = Math.min(DEPTH, d - from);
                int b = (start + j) * d + from * PANEL;
                MicroKernel.multiply(
                        rows, a, at + from, shape.queryColumns(), byKey, b, depth, into, j, padded, from > 0);
            }
        }
    }

    /** A row of products into shares of attention: those before {@code hidden} and from {@code visible} on are 0. */
    private void softmax(int at, int hidden, int visible, int padded) {
        for (int j = Math.max(0, hidden); j < visible; j++) {
            scores[at + j] *= scale;
        }
        if (shape.caps()) {
            Arrays.fill(capSlopes, 0);
            int first = Math.max(0, hidden);
            Cap.run(scores, at + first, at + visible, shape.cap());
            for (int j = first; j < visible; j++) {
                float share = scores[at + j] / shape.cap();
                capSlopes[j] = 1 - share * share;
            }
        }
        Arrays.fill(scores, at, at + Math.max(0, hidden), Float.NEGATIVE_INFINITY);
        Arrays.fill(scores, at + visible, at + padded, Float.NEGATIVE_INFINITY);
        float max = Softmax.max(scores, at, padded);
        float inverse = 1 / Softmax.exponentials(scores, at, padded, max);
        for (int j = at; j < at + padded; j += COUNT) {
            FloatVector.fromArray(FLOATS, scores, j).mul(inverse).intoArray(scores, j);
        }
    }

    private void slopes(int at, int padded, float mean) {
        for (int j = at; j < at + padded; j += COUNT) {
            FloatVector.fromArray(FLOATS, slopes, j)
                    .sub(mean)
                    .mul(FloatVector.fromArray(FLOATS, scores, j))
                    .intoArray(slopes, j);
        }
    }

    /** [rows, padded] into [count, rows], eight keys at a time. */
    private static void transpose(float[] from, int rows, int padded, int count, float[] to) {
        for (int j = 0; j < count; j += 8) {
            int end = Math.min(j + 8, count);
            for (int r = 0; r < rows; r++) {
                for (int k = j; k < end; k++) {
                    to[k * rows + r] = from[r * padded + k];
                }
            }
        }
    }

    /** {@code into[start + j] += Σ_r a[j, r] b[r]} */
    private void accumulate(float[] a, int count, int rows, float[] b, float[] into, int start) {
        for (int panel = 0; panel < width; panel += PANEL) {
            MicroKernel.multiply(count, a, 0, rows, b, panel * rows, rows, into, start * width + panel, width, true);
        }
    }
}
