package nibble.engine.host.vector;

import static nibble.engine.host.vector.Lanes.COUNT;
import static nibble.engine.host.vector.Lanes.FLOATS;

import java.util.Arrays;
import jdk.incubator.vector.FloatVector;
import nibble.engine.attention.AttentionShape;
import nibble.engine.attention.SequencePart;

/** Attention of one query and one head, on keys and values where they lie in the cache: decoding. */
final class FewQueries {
    private FewQueries() {}

    /** @param part whose rows the tasks are: task = row of the part * heads + head */
    static void run(
            AttentionShape shape,
            SequencePart.InBlocks part,
            int task,
            float[] query,
            float[] keys,
            float[] values,
            float[] out) {
        int d = shape.headDim();
        int t = task / shape.heads();
        int head = task % shape.heads();
        int stride = shape.keyColumns();
        int kvOffset = head / (shape.heads() / shape.kvHeads()) * d;
        int at = (part.firstRow() + t) * shape.queryColumns() + head * d;
        int first = shape.firstSeen(part.firstPosition() + t);
        int visible = part.firstPosition() + t + 1 - first;
        float scale = shape.scale();
        int whole = (visible + COUNT - 1) / COUNT * COUNT;
        float[] p = new float[whole];
        for (int j = 0; j < visible; ) {
            int end = Math.min(visible, j + part.blockTokens() - (first + j) % part.blockTokens());
            for (int row = part.keyRow(first + j); j < end; j++, row++) {
                p[j] = Gemv.dot(query, at, keys, row * stride + kvOffset, d) * scale;
            }
        }
        if (shape.caps()) {
            Cap.run(p, 0, visible, shape.cap());
        }
        Arrays.fill(p, visible, whole, Float.NEGATIVE_INFINITY);
        float total = Softmax.exponentials(p, 0, whole, Softmax.max(p, 0, whole));
        float[] sums = new float[d];
        for (int j = 0; j < visible; ) {
            int end = Math.min(visible, j + part.blockTokens() - (first + j) % part.blockTokens());
            for (int row = part.keyRow(first + j); j < end; j++, row++) {
                addScaled(values, row * stride + kvOffset, p[j], sums, d);
            }
        }
        for (int i = 0; i < d; i++) {
            out[at + i] = sums[i] / total;
        }
    }

    private static void addScaled(float[] x, int offset, float factor, float[] sums, int n) {
        FloatVector f = FloatVector.broadcast(FLOATS, factor);
        int i = 0;
        for (; i <= n - COUNT; i += COUNT) {
            FloatVector.fromArray(FLOATS, x, offset + i)
                    .fma(f, FloatVector.fromArray(FLOATS, sums, i))
                    .intoArray(sums, i);
        }
        for (; i < n; i++) {
            sums[i] = Math.fma(x[offset + i], factor, sums[i]);
        }
    }
}
