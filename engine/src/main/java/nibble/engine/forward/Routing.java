package nibble.engine.forward;

import java.util.Arrays;
import nibble.checkpoint.model.Experts;

/**
 * Says which experts each token passes, and with which weights.
 *
 * @param chosen experts of a token
 * @param experts [tokens * chosen], ascending for each token
 * @param weights [tokens * chosen]
 * @param inputs what multiplies the input of each expert, [tokens * all experts]; empty where nothing does
 */
record Routing(int chosen, int[] experts, float[] weights, float[] inputs) {
    /**
     * Chooses the experts with the best scores; of equal ones the first.
     *
     * @param logits [tokens, experts]
     * @param bias of the router, [experts] or empty: of its logits, or of their sigmoids where experts are chosen
     */
    static Routing of(Experts config, float[] logits, float[] bias) {
        int count = config.count();
        int chosen = config.chosen();
        int tokens = logits.length / count;
        int[] experts = new int[tokens * chosen];
        float[] weights = new float[tokens * chosen];
        for (int token = 0; token < tokens; token++) {
            float[] scores = Arrays.copyOfRange(logits, token * count, (token + 1) * count);
            if (config.choice().corrected()) {
                for (int index = 0; index < count; index++) {
                    scores[index] = (float) (sigmoid(scores[index]) + bias[index]);
                }
                hideOtherGroups(config.choice(), scores, 2);
                choose(scores, experts, token * chosen, chosen);
                weighBySigmoid(config, logits, token * count, experts, weights, token * chosen);
                continue;
            }
            for (int index = 0; index < bias.length; index++) {
                logits[token * count + index] += bias[index];
                scores[index] = logits[token * count + index];
            }
            if (config.choice().mixes()) {
                mix(scores, config.choice().margin(), experts, weights, token * chosen, chosen);
                continue;
            }
            hideOtherGroups(config.choice(), scores, 1);
            choose(scores, experts, token * chosen, chosen);
            if (config.choice().scalesInputs()) {
                Arrays.fill(weights, token * chosen, (token + 1) * chosen, 1f);
                continue;
            }
            weigh(config, logits, token * count, experts, weights, token * chosen);
        }
        return new Routing(chosen, experts, weights, config.choice().scalesInputs() ? sigmoids(logits) : new float[0]);
    }

    /**
     * Chooses one expert after the other, by Phi-3.5-MoE's sparse mixer. The weight of each is its share in a softmax
     * over those of the experts left that are near it.
     */
    private static void mix(float[] scores, double margin, int[] experts, float[] weights, int at, int chosen) {
        boolean[] taken = new boolean[scores.length];
        for (int place = 0; place < chosen; place++) {
            int best = -1;
            for (int index = 0; index < scores.length; index++) {
                if (!taken[index] && (best < 0 || scores[index] > scores[best])) {
                    best = index;
                }
            }
            double most = scores[best];
            double sum = 0;
            for (int index = 0; index < scores.length; index++) {
                double size = Math.max(Math.abs(scores[index]), most);
                // Scores that are all 0 give NaN, which is not far.
                if (!taken[index] && !((most - scores[index]) / size > margin)) {
                    sum += Math.exp(scores[index] - most);
                }
            }
            taken[best] = true;
            // Ascending, as others are.
            int to = at + place;
            for (; to > at && experts[to - 1] > best; to--) {
                experts[to] = experts[to - 1];
                weights[to] = weights[to - 1];
            }
            experts[to] = best;
            weights[to] = (float) (1 / sum);
        }
    }

    private static float[] sigmoids(float[] logits) {
        float[] sigmoids = new float[logits.length];
        for (int i = 0; i < logits.length; i++) {
            sigmoids[i] = (float) sigmoid(logits[i]);
        }
        return sigmoids;
    }

    static double sigmoid(double x) {
        return 1 / (1 + Math.exp(-x));
    }

    /** The sigmoid of each, or its share in those of the chosen; times the factor. */
    private static void weighBySigmoid(
            Experts config, float[] logits, int from, int[] experts, float[] weights, int at) {
        double sum = 0;
        for (int i = 0; i < config.chosen(); i++) {
            sum += sigmoid(logits[from + experts[at + i]]);
        }
        // As transformers does, so that sigmoids of 0 give weights of 0.
        double divisor = config.choice().normalized() ? sum + 1e-20 : 1;
        for (int i = 0; i < config.chosen(); i++) {
            weights[at + i] = (float) (config.choice().factor() * sigmoid(logits[from + experts[at + i]]) / divisor);
        }
    }

    /**
     * Leaves the scores of the best groups; of equal groups the first.
     *
     * @param most scores of a group, the best, whose sum is that of the group: 1 or 2
     */
    private static void hideOtherGroups(Experts.Choice choice, float[] scores, int most) {
        if (choice.groups() == choice.chosenGroups()) {
            return;
        }
        int size = scores.length / choice.groups();
        float[] best = new float[choice.groups()];
        for (int group = 0; group < best.length; group++) {
            float[] own = Arrays.copyOfRange(scores, group * size, (group + 1) * size);
            Arrays.sort(own);
            for (int i = 1; i <= most; i++) {
                best[group] += own[size - i];
            }
        }
        int[] groups = new int[choice.chosenGroups()];
        choose(best, groups, 0, groups.length);
        for (int expert = 0; expert < scores.length; expert++) {
            if (!contains(groups, 0, groups.length, expert / size)) {
                scores[expert] = Float.NEGATIVE_INFINITY;
            }
        }
    }

    /** Puts the indices of the best scores into {@code found}, ascending. */
    private static void choose(float[] scores, int[] found, int at, int chosen) {
        for (int place = 0; place < chosen; place++) {
            int best = -1;
            for (int index = 0; index < scores.length; index++) {
                if (!contains(found, at, place, index) && (best < 0 || scores[index] > scores[best])) {
                    best = index;
                }
            }
            found[at + place] = best;
        }
        Arrays.sort(found, at, at + chosen);
    }

    private static boolean contains(int[] list, int at, int count, int index) {
        for (int i = 0; i < count; i++) {
            if (list[at + i] == index) {
                return true;
            }
        }
        return false;
    }

    /**
     * Softmax over all experts, or over the chosen ones, which is the same brought to a sum of 1; times the factor.
     */
    private static void weigh(Experts config, float[] logits, int from, int[] experts, float[] weights, int at) {
        int chosen = config.chosen();
        float most = logits[from + experts[at]];
        for (int i = 1; i < chosen; i++) {
            most = Math.max(most, logits[from + experts[at + i]]);
        }
        double sum = 0;
        boolean normalized = config.choice().normalized();
        int terms = normalized ? chosen : config.count();
        for (int i = 0; i < terms; i++) {
            sum += Math.exp(logits[from + (normalized ? experts[at + i] : i)] - (double) most);
        }
        for (int i = 0; i < chosen; i++) {
            double share = Math.exp(logits[from + experts[at + i]] - (double) most) / sum;
            weights[at + i] = (float) (config.choice().factor() * share);
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
