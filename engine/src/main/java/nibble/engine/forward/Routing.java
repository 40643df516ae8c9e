package nibble.engine.forward;

import java.util.Arrays;
import nibble.checkpoint.model.Experts;

/**
 * Says which experts each token passes, and with which weights.
 *
 * @param chosen experts of a token
 * @param experts [tokens * chosen], ascending for each token
 * @param weights [tokens * chosen]
 */
record Routing(int chosen, int[] experts, float[] weights) {
    /**
     * Chooses the experts with the best scores; of equal ones the first.
     *
     * @param logits [tokens, experts]
     */
    static Routing of(Experts config, float[] logits) {
        int count = config.count();
        int chosen = config.chosen();
        int tokens = logits.length / count;
        int[] experts = new int[tokens * chosen];
        float[] weights = new float[tokens * chosen];
        for (int token = 0; token < tokens; token++) {
            choose(logits, token * count, count, experts, token * chosen, chosen);
            weigh(config, logits, token * count, experts, weights, token * chosen);
        }
        return new Routing(chosen, experts, weights);
    }

    private static void choose(float[] logits, int from, int count, int[] experts, int at, int chosen) {
        for (int place = 0; place < chosen; place++) {
            int best = -1;
            for (int expert = 0; expert < count; expert++) {
                if (!contains(experts, at, place, expert)
                        && (best < 0 || logits[from + expert] > logits[from + best])) {
                    best = expert;
                }
            }
            experts[at + place] = best;
        }
        Arrays.sort(experts, at, at + chosen);
    }

    private static boolean contains(int[] experts, int at, int count, int expert) {
        for (int i = 0; i < count; i++) {
            if (experts[at + i] == expert) {
                return true;
            }
        }
        return false;
    }

    /** Softmax over all experts, or over the chosen ones, which is the same brought to a sum of 1. */
    private static void weigh(Experts config, float[] logits, int from, int[] experts, float[] weights, int at) {
        int chosen = config.chosen();
        float most = logits[from + experts[at]];
        for (int i = 1; i < chosen; i++) {
            most = Math.max(most, logits[from + experts[at + i]]);
        }
        double sum = 0;
        int terms = config.normalized() ? chosen : config.count();
        for (int i = 0; i < terms; i++) {
            sum += Math.exp(logits[from + (config.normalized() ? experts[at + i] : i)] - (double) most);
        }
        for (int i = 0; i < chosen; i++) {
            weights[at + i] = (float) (Math.exp(logits[from + experts[at + i]] - (double) most) / sum);
        }
    }

    int tokens() {
        return experts.length / chosen;
    }

    /** Returns, for each expert, the tokens that pass it, ascending. */
    int[][] rows(int count) {
        int[] sizes = new int[count];
        for (int expert : experts) {
            sizes[expert]++;
        }
        int[][] rows = new int[count][];
        Arrays.setAll(rows, expert -> new int[sizes[expert]]);
        Arrays.fill(sizes, 0);
        for (int i = 0; i < experts.length; i++) {
            rows[experts[i]][sizes[experts[i]]++] = i / chosen;
        }
        return rows;
    }
}
