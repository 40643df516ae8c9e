package nibble.cluster.eval;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.PriorityQueue;
import java.util.function.ToLongFunction;

/** Shares pieces of work out to partitions of about equal cost. */
final class Partitions {
    /** Partitions that each place of a cluster computes, so that a slow one, or a lost one, costs little. */
    private static final int EACH = 8;

    /** A partition so far, and its number, which decides among equals. */
    private record Share<T>(int number, List<T> pieces, long[] cost) {}

    private Partitions() {}

    /**
     * Returns the partitions, none empty: the dearest piece first, each to the partition that has the least so far.
     *
     * @param slots tasks that the cluster runs at a time
     */
    static <T> List<List<T>> of(List<T> pieces, int slots, ToLongFunction<T> cost) {
        int count = (int) Math.min(pieces.size(), (long) slots * EACH);
        PriorityQueue<Share<T>> shares = new PriorityQueue<>(
                Comparator.<Share<T>>comparingLong(share -> share.cost()[0]).thenComparingInt(Share::number));
        for (int i = 0; i < count; i++) {
            shares.add(new Share<>(i, new ArrayList<>(), new long[1]));
        }
        List<T> order = pieces.stream()
                .sorted(Comparator.comparingLong(cost).reversed())
                .toList();
        for (T piece : order) {
            Share<T> least = shares.remove();
            least.pieces().add(piece);
            least.cost()[0] += cost.applyAsLong(piece);
            shares.add(least);
        }
        return shares.stream()
                .sorted(Comparator.comparingInt(Share::number))
                .map(Share::pieces)
                .toList();
    }
}
