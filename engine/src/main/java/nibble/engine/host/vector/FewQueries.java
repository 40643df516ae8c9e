package nibble.engine.host.vector;

import static nibble.engine.host.vector.Lanes.COUNT;

import java.util.Arrays;
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
            CachedRows keys,
            CachedRows values,
            float[] out) {
        int d = shape.headDim();
        int t = task / shape.heads();
        int head = task % shape.heads();
        int kvOffset = head / (shape.heads() / shape.kvHeads()) * d;
        int at = (part.firstRow() + t) * shape.queryColumns() + head * d;
        int first = shape.firstSeen(part.firstPosition() + t);
        int visible = part.firstPosition() + t + 1 - first;
        float scale = shape.scale();
        int whole = (visible + COUNT - 1) / COUNT * COUNT;
        float[] p = new float[whole];
        CachedRows.Heads keyHeads = keys.heads(d);
        for (int j = 0; j < visible; ) {
            int end = Math.min(visible, j + part.blockTokens() - (first + j) % part.blockTokens());
            for (int row = part.keyRow(first + j); j < end; j++, row++) {
                p[j] = keyHeads.dot(query, at, row, kvOffset) * scale;
            }
        }
        if (shape.caps()) {
            Cap.run(p, 0, visible, shape.cap());
        }
        Arrays.fill(p, visible, whole, Float.NEGATIVE_INFINITY);
        float largest = Softmax.max(p, 0, whole);
        float total = 0;
        if (shape.hasSinks()) {
            largest = Math.max(largest, shape.sinks()[head]);
            total = (float) Math.exp(shape.sinks()[head] - largest);
        }
        total += Softmax.exponentials(p, 0, whole, largest);
        float[] sums = new float[d];
        CachedRows.Heads valueHeads = values.heads(d);
        for (int j = 0; j < visible; ) {
            int end = Math.min(visible, j + part.blockTokens() - (first + j) % part.blockTokens());
            for (int row = part.keyRow(first + j); j < end; j++, row++) {
                valueHeads.addScaled(row, kvOffset, p[j], sums);
            }
        }
        for (int i = 0; i < d; i++) {
            out[at + i] = sums[i] / total;
        }
    }
}
