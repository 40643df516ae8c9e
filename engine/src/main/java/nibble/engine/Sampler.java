package nibble.engine;

import java.util.Arrays;
import java.util.BitSet;
import java.util.HashMap;
import java.util.Map;
import java.util.SplittableRandom;
import nibble.engine.tensor.Likeliest;
import nibble.engine.tensor.RowLogits;

/**
 * Chooses tokens by {@link SamplingOptions}: penalties, temperature, min-p, top-k, top-p, in the order of transformers'
 * {@code generate}. Remembers the tokens it was shown; used by one thread at a time.
 */
public final class Sampler {
    /** Greatest logits that the likeliest token is chosen by: more than one, as equals are told apart. */
    private static final int GREEDY_LOGITS = 4;

    private final SamplingOptions options;
    private final SplittableRandom random;
    private final BitSet seen = new BitSet();
    /** How often each token was generated; what the prompt holds does not count. */
    private final Map<Integer, Integer> generated = new HashMap<>();

    public Sampler(SamplingOptions options) {
        this.options = options;
        this.random = new SplittableRandom(options.seed());
    }

    /** Makes {@code ids} count as already there for the repetition penalty. */
    public void observe(int... ids) {
        for (int id : ids) {
            seen.set(id);
        }
    }

    /**
     * Returns the next token, which is also observed.
     *
     * @param logits [vocabulary]; not changed
     * @throws NonFiniteLogitException where no logit is a number, or one is NaN
     */
    public int next(float[] logits) {
        return next(RowLogits.of(logits));
    }

    /**
     * Returns what {@link #next(float[])} returns for all logits; they are asked for where the likeliest do not tell.
     */
    public int next(RowLogits logits) {
        double share = options.temperature() == 0 ? 0 : random.nextDouble();
        Likeliest best = (LikeliestChoice.takesFirst(options) ? logits.likeliest(GREEDY_LOGITS) : logits.likeliest())
                .orElse(null);
        int id = best == null ? Likeliest.NONE : LikeliestChoice.of(best, options, this::penalized, share);
        if (id == Likeliest.NONE) {
            id = options.temperature() == 0 ? likeliest(logits.all()) : draw(penalized(logits.all()), share);
        }
        observe(id);
        if (countsTokens()) {
            generated.merge(id, 1, Integer::sum);
        }
        return id;
    }

    /** The score of an id under the penalties. */
    private double penalized(int id, float logit) {
        double score = repeated(id, logit);
        if (!countsTokens()) {
            return score;
        }
        Integer times = generated.get(id);
        return times == null ? score : score - penalty(times);
    }

    private boolean countsTokens() {
        return options.frequencyPenalty() != 0 || options.presencePenalty() != 0;
    }

    private double repeated(int id, float logit) {
        double penalty = seen.get(id) ? options.repetitionPenalty() : 1;
        return logit > 0 ? logit / penalty : logit * penalty;
    }

    private double penalty(int times) {
        return times * options.frequencyPenalty() + options.presencePenalty();
    }

    private double[] penalized(float[] logits) {
        double[] scores = new double[logits.length];
        for (int i = 0; i < logits.length; i++) {
            requireNumber(i, logits[i]);
            scores[i] = repeated(i, logits[i]);
        }
        generated.forEach((id, times) -> scores[id] -= penalty(times));
        return scores;
    }

    private static void requireNumber(int id, float logit) {
        if (Float.isNaN(logit) || logit == Float.POSITIVE_INFINITY) {
            throw new NonFiniteLogitException("logit of token " + id + " is " + logit
                    + "; the model's weights are damaged or its activations overflow");
        }
    }

    /** Of equals the lowest id. Keeps no scores: a large vocabulary's would be most of a token's garbage. */
    private int likeliest(float[] logits) {
        int best = 0;
        double most = Double.NEGATIVE_INFINITY;
        for (int i = 0; i < logits.length; i++) {
            requireNumber(i, logits[i]);
            double score = penalized(i, logits[i]);
            if (score > most) {
                most = score;
                best = i;
            }
        }
        return best;
    }

    /** @param share in [0, 1), drawn at random: the token stands there in the mass of those that are kept */
    private int draw(double[] scores, double share) {
        int[] order = byScore(scores);
        int kept = options.topK() == 0 ? order.length : Math.min(options.topK(), order.length);
        double[] p = new double[kept];
        double sum = 0;
        for (int i = 0; i < kept; i++) {
            p[i] = Math.exp((scores[order[i]] - scores[order[0]]) / options.temperature());
            if (p[i] < options.minP()) {
                kept = i;
                break;
            }
            sum += p[i];
        }
        double mass = 0;
        int last = 0;
        for (int i = 0; i < kept; i++) {
            mass += p[i];
            last = i;
            if (options.topP() < 1 && mass >= options.topP() * sum) {
                break;
            }
        }
        double point = share * mass;
        for (int i = 0; i < last; i++) {
            point -= p[i];
            if (point < 0) {
                return order[i];
            }
        }
        return order[last];
    }

    /** Ids, likeliest first, equals by id. */
    static int[] byScore(double[] scores) {
        double[] keys = new double[scores.length];
        Arrays.setAll(keys, i -> -scores[i]);
        Arrays.sort(keys);
        // Equal scores have a run of places, which their ids take in turn.
        int[] place = new int[keys.length];
        for (int i = 1; i < keys.length; i++) {
            place[i] = Double.compare(keys[i], keys[i - 1]) == 0 ? place[i - 1] : i;
        }
        int[] taken = new int[keys.length];
        int[] ids = new int[keys.length];
        for (int id = 0; id < scores.length; id++) {
            int first = place[Arrays.binarySearch(keys, -scores[id])];
            ids[first + taken[first]++] = id;
        }
        return ids;
    }
}
