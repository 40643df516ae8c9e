package nibble.engine;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;

/**
 * Sequences with their shared beginnings laid together, so that each goes through the model once:
 *
 * <pre>
 *   shots ─ question 1 ─ answer a          a segment is a run of ids; its rows lie together, parents before children,
 *         │            └ answer b          a first child right behind its parent
 *         └ question 2 ─ answer c
 * </pre>
 *
 * <p>Fewer than {@value #FEWEST_SHARED} shared ids are not worth a segment of their own.
 */
final class PrefixTree {
    private static final int FEWEST_SHARED = 16;

    /**
     * A run of ids.
     *
     * @param parent what stands before it; null at the beginning
     * @param firstRow of its rows
     * @param firstPosition of its first id in each of its sequences
     * @param length ids, at least 1
     */
    record Segment(@Nullable Segment parent, int firstRow, int firstPosition, int length) {
        /** The position after its last id. */
        int end() {
            return firstPosition + length;
        }
    }

    private final List<Continuation> sequences;
    /** Numbers of the sequences in the order of their ids, so that those with a common beginning stand together. */
    private final int[] order;
    /** [i]: ids that the sequences i and i + 1 in that order begin with alike. */
    private final int[] shared;

    private final List<Segment> segments = new ArrayList<>();
    private final List<@Nullable Segment> last;
    private int tokens;

    private PrefixTree(List<Continuation> sequences) {
        this.sequences = sequences;
        this.order = IntStream.range(0, sequences.size())
                .boxed()
                .sorted((a, b) -> compare(sequences.get(a), sequences.get(b)))
                .mapToInt(Integer::intValue)
                .toArray();
        this.shared = new int[Math.max(0, sequences.size() - 1)];
        for (int i = 0; i < shared.length; i++) {
            shared[i] = shared(sequences.get(order[i]), sequences.get(order[i + 1]));
        }
        this.last = new ArrayList<>(Collections.nCopies(sequences.size(), null));
        build(0, sequences.size(), 0, null);
    }

    /** The tree of what goes through the model: all ids but each last. */
    static PrefixTree of(List<Continuation> sequences) {
        return new PrefixTree(sequences);
    }

    private static int compare(Continuation a, Continuation b) {
        return Arrays.compare(a.ids(), 0, a.inputs(), b.ids(), 0, b.inputs());
    }

    private static int shared(Continuation a, Continuation b) {
        int mismatch = Arrays.mismatch(a.ids(), 0, a.inputs(), b.ids(), 0, b.inputs());
        return mismatch < 0 ? a.inputs() : mismatch;
    }

    /** Lays out sequences {@code from .. to} of the order, which share their first {@code depth} ids. */
    private void build(int from, int to, int depth, @Nullable Segment parent) {
        int first = from;
        while (first < to) {
            int next = first + 1;
            int common = sequences.get(order[first]).inputs();
            // Equal sequences belong together too, though nothing is left of them to share.
            while (next < to
                    && (shared[next - 1] >= depth + FEWEST_SHARED
                            || shared[next - 1] == sequences.get(order[next]).inputs() && shared[next - 1] == common)) {
                common = Math.min(common, shared[next - 1]);
                next++;
            }
            Segment segment = parent;
            if (common > depth) {
                segment = new Segment(parent, tokens, depth, common - depth);
                segments.add(segment);
                tokens += common - depth;
            }
            for (int i = first; i < next; i++) {
                last.set(order[i], segment);
            }
            if (longest(first, next) > common) {
                build(first, next, common, segment);
            }
            first = next;
        }
    }

    /** Rows there are: ids that go through the model. */
    int tokens() {
        return tokens;
    }

    /** Parents before their children. */
    List<Segment> segments() {
        return segments;
    }

    /** Ids of the longest sequence. */
    int longest() {
        return longest(0, sequences.size());
    }

    private int longest(int from, int to) {
        return IntStream.range(from, to)
                .map(i -> sequences.get(order[i]).inputs())
                .max()
                .orElse(0);
    }

    /** The id of each row. */
    int[] ids() {
        int[] ids = new int[tokens];
        for (int i = 0; i < last.size(); i++) {
            for (Segment s = last.get(i); s != null; s = s.parent()) {
                System.arraycopy(sequences.get(i).ids(), s.firstPosition(), ids, s.firstRow(), s.length());
            }
        }
        return ids;
    }

    /** The position of each row in its sequences. */
    int[] positions() {
        int[] positions = new int[tokens];
        for (Segment segment : segments) {
            for (int i = 0; i < segment.length(); i++) {
                positions[segment.firstRow() + i] = segment.firstPosition() + i;
            }
        }
        return positions;
    }

    /** The row of a position of a sequence. */
    int row(int sequence, int position) {
        Segment segment = last.get(sequence);
        while (segment != null && segment.firstPosition() > position) {
            segment = segment.parent();
        }
        if (segment == null || position >= segment.end()) {
            throw new IllegalArgumentException("sequence " + sequence + " has no position " + position);
        }
        return segment.firstRow() + position - segment.firstPosition();
    }
}
