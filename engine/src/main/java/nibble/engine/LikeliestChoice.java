package nibble.engine;

import java.util.Arrays;
import nibble.engine.tensor.Likeliest;

/**
 * Chooses a token by the greatest logits of a row alone, if what {@link Sampler} makes of all logits can be told from
 * them. Penalties may only lower scores; so no id that is not among the likeliest scores more than the last of them.
 * Sums over all ids have an error, so a choice counts only where both ends of it agree.
 */
final class LikeliestChoice {
    /** What {@link Sampler}'s own sum of a whole vocabulary may be off. */
    private static final double ROUNDING = 0x1p-30;

    /** Gives the score of an id. */
    interface Score {
        double of(int id, float logit);
    }

    private final Likeliest likeliest;
    private final SamplingOptions options;
    private final double share;
    /** Ids and scores as {@link Sampler} orders all of them: those that certainly come first. */
    private final int[] ids;

    private final double[] scores;

    private LikeliestChoice(Likeliest likeliest, SamplingOptions options, Score score, double share) {
        this.likeliest = likeliest;
        this.options = options;
        this.share = share;
        int n = likeliest.ids().length;
        int[] orderedIds = new int[n];
        double[] ordered = new double[n];
        for (int i = 0; i < n; i++) {
            // The greatest logit comes first, so only what a penalty lowered moves: a step may have 64 rows to order.
            int id = likeliest.ids()[i];
            double one = score.of(id, likeliest.logits()[i]);
            int at = i;
            while (at > 0 && (ordered[at - 1] < one || ordered[at - 1] == one && orderedIds[at - 1] > id)) {
                ordered[at] = ordered[at - 1];
                orderedIds[at] = orderedIds[at - 1];
                at--;
            }
            ordered[at] = one;
            orderedIds[at] = id;
        }
        int certain = n;
        if (!likeliest.whole()) {
            // No other id scores more.
            double others = likeliest.logits()[n - 1];
            certain = 0;
            while (certain < n && ordered[certain] > others) {
                certain++;
            }
        }
        ids = Arrays.copyOf(orderedIds, certain);
        scores = Arrays.copyOf(ordered, certain);
    }

    /**
     * Returns the token, or {@link Likeliest#NONE} if only all logits tell.
     *
     * @param share where the token stands in the mass of those that are kept, in [0, 1)
     */
    static int of(Likeliest likeliest, SamplingOptions options, Score score, double share) {
        boolean lowers =
                options.repetitionPenalty() >= 1 && options.frequencyPenalty() >= 0 && options.presencePenalty() >= 0;
        if (!lowers && !likeliest.whole()) {
            return Likeliest.NONE;
        }
        if (takesFirst(options)) {
            return greedy(likeliest);
        }
        LikeliestChoice choice = new LikeliestChoice(likeliest, options, score, share);
        if (choice.ids.length == 0) {
            return Likeliest.NONE;
        }
        return options.temperature() == 0 ? choice.greedy() : choice.draw();
    }

    /** Returns whether the greatest logit is chosen, whatever the token was before. */
    static boolean takesFirst(SamplingOptions options) {
        return options.temperature() == 0 && isPlain(options);
    }

    private static boolean isPlain(SamplingOptions options) {
        return options.repetitionPenalty() == 1 && options.frequencyPenalty() == 0 && options.presencePenalty() == 0;
    }

    /** Does what {@link #greedy()} does where scores are logits. */
    private static int greedy(Likeliest likeliest) {
        float[] logits = likeliest.logits();
        if (!likeliest.whole() && !(logits[0] > logits[logits.length - 1])) {
            return Likeliest.NONE;
        }
        int best = likeliest.ids()[0];
        for (int i = 1; i < logits.length && logits[i] == logits[0]; i++) {
            best = Math.min(best, likeliest.ids()[i]);
        }
        return best;
    }

    /** Of equals the lowest id; 0 and -0 are equal here. */
    private int greedy() {
        int best = ids[0];
        for (int i = 1; i < ids.length && scores[i] == scores[0]; i++) {
            best = Math.min(best, ids[i]);
        }
        return best;
    }

    private int draw() {
        int all = likeliest.vocabulary();
        int kept = options.topK() == 0 ? all : Math.min(options.topK(), all);
        double[] p = new double[ids.length];
        double sum = 0;
        int known = 0;
        while (known < Math.min(kept, p.length)) {
            p[known] = Math.exp((scores[known] - scores[0]) / options.temperature());
            if (p[known] < options.minP()) {
                kept = known;
                break;
            }
            sum += p[known++];
        }
        if (known == kept) {
            return drawKept(p, kept, sum);
        }
        return isPlain(options) && kept == all && options.minP() == 0 ? drawOfAll(p) : Likeliest.NONE;
    }

    /** As the sampler does it. */
    private int drawKept(double[] p, int kept, double sum) {
        double mass = 0;
        int last = 0;
        for (int i = 0; i < kept; i++) {
            mass += p[i];
            last = i;
            if (options.topP() < 1 && mass >= options.topP() * sum) {
                break;
            }
        }
        return at(p, last, share * mass, share * mass);
    }

    /** With the sum over all ids within its error. */
    private int drawOfAll(double[] p) {
        double error = Likeliest.SUM_ERROR + ROUNDING;
        double least = likeliest.tempered() * (1 - error);
        double most = likeliest.tempered() * (1 + error);
        if (options.topP() == 1) {
            return at(p, p.length, share * least, share * most);
        }
        double mass = 0;
        for (int i = 0; i < p.length; i++) {
            mass += p[i];
            if (mass >= options.topP() * most) {
                return at(p, i, share * mass, share * mass);
            }
            if (mass >= options.topP() * least) {
                return Likeliest.NONE;
            }
        }
        // The last of those that are kept is not known, but none adds more than the last one here.
        return at(p, p.length, share * options.topP() * least, share * (options.topP() * most + p[p.length - 1]));
    }

    /**
     * The id at a point of the mass that lies between two; {@code last} is taken where all before it are passed, if it
     * is known.
     */
    private int at(double[] p, int last, double least, double most) {
        double low = least;
        double high = most;
        for (int i = 0; i < Math.min(last, p.length); i++) {
            low -= p[i];
            high -= p[i];
            if (high < 0) {
                return ids[i];
            }
            if (low < 0) {
                return Likeliest.NONE;
            }
        }
        return last < p.length ? ids[last] : Likeliest.NONE;
    }
}
