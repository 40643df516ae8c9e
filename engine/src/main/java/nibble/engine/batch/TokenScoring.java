package nibble.engine.batch;

import java.util.ArrayList;
import java.util.List;
import nibble.engine.NonFiniteLogitException;
import nibble.engine.batch.ScoredToken.Alternative;
import nibble.engine.tensor.Likeliest;
import nibble.engine.tensor.RowLogits;

/** Log-probabilities of single tokens from logits. */
final class TokenScoring {
    private TokenScoring() {}

    /** As {@link #score(int, float[], int)}; by the likeliest ids alone, where they tell as much. */
    static ScoredToken score(int id, RowLogits logits, int alternatives) {
        Likeliest likeliest = logits.likeliest().orElse(null);
        if (likeliest == null || alternatives > likeliest.ids().length && !likeliest.whole()) {
            return score(id, logits.all(), alternatives);
        }
        int place = likeliest.place(id);
        if (place == Likeliest.NONE && id != likeliest.asked()) {
            return score(id, logits.all(), alternatives);
        }
        double total = likeliest.logits()[0] + Math.log(likeliest.sum());
        int rank = likeliest.askedRank();
        float logit = likeliest.askedLogit();
        if (place != Likeliest.NONE) {
            logit = likeliest.logits()[place];
            rank = 1;
            while (likeliest.logits()[rank - 1] > logit) {
                rank++;
            }
        }
        List<Alternative> best = new ArrayList<>();
        for (int i = 0; i < Math.min(alternatives, likeliest.ids().length); i++) {
            best.add(new Alternative(likeliest.ids()[i], (float) (likeliest.logits()[i] - total)));
        }
        return new ScoredToken(id, (float) (logit - total), rank, best);
    }

    /**
     * Scores an id.
     *
     * @param logits [vocabulary]
     * @param alternatives likeliest ids to name, likeliest first, equals by id
     */
    static ScoredToken score(int id, float[] logits, int alternatives) {
        double max = Double.NEGATIVE_INFINITY;
        for (float logit : logits) {
            max = Math.max(max, logit);
        }
        double sum = 0;
        int rank = 1;
        for (float logit : logits) {
            sum += Math.exp(logit - max);
            rank += logit > logits[id] ? 1 : 0;
        }
        double total = max + Math.log(sum);
        if (!Double.isFinite(total)) {
            throw new NonFiniteLogitException(
                    "the logits' sum is " + total + "; the model's weights are damaged or its activations overflow");
        }
        List<Alternative> likeliest = new ArrayList<>();
        for (int best : likeliest(logits, Math.min(alternatives, logits.length))) {
            likeliest.add(new Alternative(best, (float) (logits[best] - total)));
        }
        return new ScoredToken(id, (float) (logits[id] - total), rank, likeliest);
    }

    /** The {@code count} likeliest ids, kept in order while the logits are read once. */
    private static int[] likeliest(float[] logits, int count) {
        int[] best = new int[count];
        int held = 0;
        for (int id = 0; id < logits.length && count > 0; id++) {
            if (held == count && logits[id] <= logits[best[held - 1]]) {
                continue;
            }
            int at = held < count ? held++ : held - 1;
            while (at > 0 && logits[id] > logits[best[at - 1]]) {
                best[at] = best[at - 1];
                at--;
            }
            best[at] = id;
        }
        return best;
    }
}
