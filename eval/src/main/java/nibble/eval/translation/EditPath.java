package nibble.eval.translation;

import java.util.Arrays;
import java.util.List;

/**
 * The cheapest way from a text to its reference by words put in, left out or replaced, looked for near the diagonal.
 *
 * @param steps what is done, from the beginning
 */
record EditPath(int edits, List<Step> steps) {
    /** Words to either side of the diagonal that are looked at. */
    private static final int BEAM = 25;

    private static final int FAR = Integer.MAX_VALUE / 2;

    /** What is done at a place, seen from the text. */
    enum Step {
        KEEP,
        REPLACE,
        LEAVE_OUT,
        PUT_IN
    }

    static EditPath of(List<String> text, List<String> right) {
        int n = text.size();
        int m = right.size();
        int[][] costs = new int[n + 1][m + 1];
        Step[][] steps = new Step[n + 1][m + 1];
        for (int[] row : costs) {
            Arrays.fill(row, FAR);
        }
        for (int j = 0; j <= m; j++) {
            costs[0][j] = j;
            steps[0][j] = Step.PUT_IN;
        }
        double ratio = n == 0 ? 1 : (double) m / n;
        int beam = BEAM < ratio / 2 ? (int) Math.ceil(ratio / 2 + BEAM) : BEAM;
        for (int i = 1; i <= n; i++) {
            int diagonal = (int) Math.floor(i * ratio);
            int end = i == n ? m + 1 : Math.min(m + 1, diagonal + beam);
            for (int j = Math.max(0, diagonal - beam); j < end; j++) {
                if (j == 0) {
                    costs[i][0] = costs[i - 1][0] + 1;
                    steps[i][0] = Step.LEAVE_OUT;
                    continue;
                }
                boolean same = text.get(i - 1).equals(right.get(j - 1));
                take(costs, steps, i, j, costs[i - 1][j - 1] + (same ? 0 : 1), same ? Step.KEEP : Step.REPLACE);
                take(costs, steps, i, j, costs[i - 1][j] + 1, Step.LEAVE_OUT);
                take(costs, steps, i, j, costs[i][j - 1] + 1, Step.PUT_IN);
            }
        }
        return new EditPath(costs[n][m], path(steps, n, m));
    }

    private static void take(int[][] costs, Step[][] steps, int i, int j, int cost, Step step) {
        if (costs[i][j] > cost) {
            costs[i][j] = cost;
            steps[i][j] = step;
        }
    }

    private static List<Step> path(Step[][] steps, int n, int m) {
        java.util.LinkedList<Step> path = new java.util.LinkedList<>();
        int i = n;
        int j = m;
        while (i > 0 || j > 0) {
            Step step = steps[i][j];
            path.addFirst(step);
            i -= step == Step.PUT_IN ? 0 : 1;
            j -= step == Step.LEAVE_OUT ? 0 : 1;
        }
        return path;
    }
}
