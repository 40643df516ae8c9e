package nibble.engine.host.vector;

import static nibble.engine.host.vector.MicroKernel.PANEL;

import java.util.Arrays;
import java.util.List;
import java.util.concurrent.atomic.AtomicReference;
import nibble.engine.attention.AttentionShape;
import nibble.engine.attention.SequencePart;
import nibble.engine.backend.Workers;
import nibble.engine.host.vector.PanelKernel.Rows;
import org.jspecify.annotations.Nullable;

/**
 * Computes causal grouped-query attention over blocks: {@code out[t] = Σ_j softmax_j(scale q[t]·k[j]) v[j]}, j up to
 * the position of t, from the first of its window on. A task is one head and {@value #QUERIES} queries. It walks the
 * keys it may see in chunks; the softmax is kept as a running maximum m, sum l and unnormalised output, rescaled when
 * the maximum grows (Milakov and Gimelshein 2018; Dao et al. 2022). So no task ever holds more than {@value #QUERIES} x
 * {@value #KEYS} scores.
 */
public final class CausalAttention {
    /** Queries of a task. */
    private static final int QUERIES = 64;
    /** Keys of a chunk; a chunk of values is then as deep as any panel of {@link MicroKernel}. */
    private static final int KEYS = MicroKernel.DEPTH;
    /** Fewer queries than this see the keys where they lie: putting them into panels would not pay. */
    private static final int FEWEST_QUERIES = 4;

    /** Panels of keys and values of at most so many numbers are kept for the next call: those of a short prompt. */
    private static final int MOST_KEPT = 1 << 20;

    /** Panels of each head of keys, then of values, for the next call. */
    private static final AtomicReference<float @Nullable [][]> KEPT = new AtomicReference<>();

    private static final ThreadLocal<Room> ROOM = ThreadLocal.withInitial(Room::new);

    /** Arrays of a thread, which its blocks use one after another. */
    private static final class Room {
        float[] q = {};
        final float[] scores = new float[QUERIES * KEYS];
        float[] sums = {};
        final float[] state = new float[2 * QUERIES];
    }

    private final PanelKernel kernel;
    private final AttentionShape shape;
    private final float[] query;
    private final int queries;
    private final int firstPosition;
    private final int seen;
    private final int valuePanels;
    private final float scale;
    private final float[][] panels;

    private CausalAttention(PanelKernel kernel, AttentionShape shape, float[] query, int queries, int firstPosition) {
        this.kernel = kernel;
        this.shape = shape;
        this.query = query;
        this.queries = queries;
        this.firstPosition = firstPosition;
        this.seen = firstPosition + queries;
        this.valuePanels = (shape.headDim() + PANEL - 1) / PANEL;
        this.scale = shape.scale();
        this.panels = taken(2 * shape.kvHeads());
    }

    /** Computes attention of row-major matrices, as {@link nibble.engine.backend.Backend#attention} has them. */
    public static void run(
            Workers workers,
            PanelKernel kernel,
            AttentionShape shape,
            float[] query,
            int queries,
            int firstPosition,
            float[] keys,
            float[] values,
            float[] out) {
        if (queries < FEWEST_QUERIES) {
            int seen = Math.max(1, firstPosition + queries);
            SequencePart.InBlocks part = new SequencePart.InBlocks(0, queries, firstPosition, new int[1], seen);
            CachedRows k = new CachedRows.Floats(keys, shape.keyColumns());
            CachedRows v = new CachedRows.Floats(values, shape.keyColumns());
            workers.forEach(queries * shape.heads(), task -> FewQueries.run(shape, part, task, query, k, v, out));
            return;
        }
        CausalAttention attention = new CausalAttention(kernel, shape, query, queries, firstPosition);
        workers.forEach(2 * shape.kvHeads(), task -> {
            if (task % 2 == 0) {
                attention.packKeys(task / 2, keys);
            } else {
                attention.packValues(task / 2, values);
            }
        });
        int blocks = (queries + QUERIES - 1) / QUERIES;
        // The last block sees most keys: first, so that no worker starts it when the others are done.
        workers.forEach(
                blocks * shape.heads(),
                task -> attention.block(task % shape.heads(), (blocks - 1 - task / shape.heads()) * QUERIES, out));
        attention.keepPanels();
    }

    /** Returns whether so few queries see the keys where they lie, and so in blocks too. */
    public static boolean isFew(int queries) {
        return queries < FEWEST_QUERIES;
    }

    /** Computes attention of parts with {@linkplain #isFew few} queries, as the backend has it for parts in blocks. */
    public static void run(
            Workers workers,
            AttentionShape shape,
            List<SequencePart.InBlocks> parts,
            float[] query,
            CachedRows keys,
            CachedRows values,
            float[] out) {
        int[] firstTask = new int[parts.size() + 1];
        for (int i = 0; i < parts.size(); i++) {
            firstTask[i + 1] = firstTask[i] + parts.get(i).rows() * shape.heads();
        }
        workers.forEach(firstTask[parts.size()], task -> {
            int found = Arrays.binarySearch(firstTask, task);
            int i = found < 0 ? -found - 2 : found;
            FewQueries.run(shape, parts.get(i), task - firstTask[i], query, keys, values, out);
        });
    }

    /** Keys of a head as panels [head_dim][32 keys], one after another. */
    private void packKeys(int kvHead, float[] keys) {
        int d = shape.headDim();
        int count = (seen + PANEL - 1) / PANEL;
        float[] packed = panel(kvHead, count * d * PANEL);
        RowSource rows = RowSource.of(keys, shape.keyColumns());
        float[] row = new float[d];
        for (int panel = 0; panel < count; panel++) {
            int first = panel * PANEL;
            Panel.fill(rows, first, Math.min(PANEL, seen - first), kvHead * d, d, row, packed, panel * d * PANEL);
        }
    }

    /** Values of a head as panels [seen][32 columns of the head], one after another, the last filled up with zeros. */
    private void packValues(int kvHead, float[] values) {
        int d = shape.headDim();
        float[] packed = panel(shape.kvHeads() + kvHead, valuePanels * seen * PANEL);
        for (int panel = 0; panel < valuePanels; panel++) {
            int columns = Math.min(PANEL, d - panel * PANEL);
            if (columns < PANEL) {
                Arrays.fill(packed, panel * seen * PANEL, (panel + 1) * seen * PANEL, 0f);
            }
            for (int j = 0; j < seen; j++) {
                System.arraycopy(
                        values,
                        j * shape.keyColumns() + kvHead * d + panel * PANEL,
                        packed,
                        (panel * seen + j) * PANEL,
                        columns);
            }
        }
    }

    private static float[][] taken(int count) {
        float[][] kept = KEPT.getAndSet(null);
        return kept != null && kept.length == count ? kept : new float[count][0];
    }

    private float[] panel(int index, int size) {
        if (panels[index].length < size) {
            panels[index] = new float[size];
        }
        return panels[index];
    }

    private void keepPanels() {
        long all = 0;
        for (float[] panel : panels) {
            all += panel.length;
        }
        if (all <= MOST_KEPT) {
            KEPT.set(panels);
        }
    }

    private void block(int head, int first, float[] out) {
        int d = shape.headDim();
        int rows = Math.min(QUERIES, queries - first);
        int kvHead = head / (shape.heads() / shape.kvHeads());
        int width = valuePanels * PANEL;
        Room room = ROOM.get();
        if (room.sums.length < QUERIES * width) {
            room.q = new float[QUERIES * width];
            room.sums = new float[QUERIES * width];
        }
        float[] q = room.q;
        float[] scores = room.scores;
        float[] sums = room.sums;
        float[] state = room.state;
        scaleQueries(head, first, rows, q);
        Arrays.fill(sums, 0, rows * width, 0f);
        for (int r = 0; r < rows; r++) {
            state[2 * r] = shape.hasSinks() ? shape.sinks()[head] : Float.NEGATIVE_INFINITY;
            state[2 * r + 1] = shape.hasSinks() ? 1 : 0;
        }
        int limit = firstPosition + first + rows;
        // Panels of keys begin at multiples of their width.
        int start = shape.firstSeen(firstPosition + first) / PANEL * PANEL;
        for (int key = start; key < limit; key += KEYS) {
            int count = Math.min(KEYS, limit - key);
            for (int j = 0; j < count; j += PANEL) {
                kernel.multiply(
                        rows, new Rows(q, 0, d), panels[kvHead], (key + j) * d, d, new Rows(scores, j, KEYS), false);
            }
            for (int r = 0; r < rows; r++) {
                int position = firstPosition + first + r;
                int hidden = Math.max(0, shape.firstSeen(position) - key);
                int visible = Math.min(count, position + 1 - key);
                if (shape.caps()) {
                    // Only what is seen: the others never count.
                    Cap.run(scores, r * KEYS + hidden, r * KEYS + visible, shape.cap());
                }
                softmaxStep(scores, r * KEYS, hidden, visible, count, state, r, sums, r * width, width);
            }
            for (int panel = 0; panel < valuePanels; panel++) {
                kernel.multiply(
                        rows,
                        new Rows(scores, 0, KEYS),
                        panels[shape.kvHeads() + kvHead],
                        (panel * seen + key) * PANEL,
                        count,
                        new Rows(sums, panel * PANEL, width),
                        true);
            }
        }
        for (int r = 0; r < rows; r++) {
            int target = (first + r) * shape.queryColumns() + head * d;
            float inverse = 1 / state[2 * r + 1];
            for (int i = 0; i < d; i++) {
                out[target + i] = sums[r * width + i] * inverse;
            }
        }
    }

    private void scaleQueries(int head, int first, int rows, float[] q) {
        int d = shape.headDim();
        for (int r = 0; r < rows; r++) {
            int from = (first + r) * shape.queryColumns() + head * d;
            for (int i = 0; i < d; i++) {
                q[r * d + i] = query[from + i] * scale;
            }
        }
    }

    /**
     * Turns a row of scores into exp(score - max), the first {@code hidden} keys and those from {@code visible} on into
     * 0, and brings the row's state and sums up to date.
     */
    private void softmaxStep(
            float[] scores,
            int at,
            int hidden,
            int visible,
            int count,
            float[] state,
            int r,
            float[] sums,
            int sumsAt,
            int width) {
        if (visible <= hidden) {
            Arrays.fill(scores, at, at + count, 0f);
            return;
        }
        int whole = (count + PanelKernel.SCORES - 1) / PanelKernel.SCORES * PanelKernel.SCORES;
        Arrays.fill(scores, at, at + hidden, Float.NEGATIVE_INFINITY);
        Arrays.fill(scores, at + visible, at + whole, Float.NEGATIVE_INFINITY);
        kernel.soften(scores, at, whole, state, r, sums, sumsAt, width);
    }
}
