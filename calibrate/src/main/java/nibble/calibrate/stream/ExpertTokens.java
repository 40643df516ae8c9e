package nibble.calibrate.stream;

import java.util.List;
import java.util.stream.LongStream;
import nibble.calibrate.job.QuantizationReport;
import nibble.checkpoint.model.Expert;
import nibble.checkpoint.model.Experts;
import nibble.checkpoint.model.ModelConfig;

/**
 * Counts the tokens that each routed expert of a layer sees, and chooses others for experts that see too few. A moment
 * of fewer tokens than columns says nothing of the directions that none of them has, so an expert that is rarely chosen
 * would be fitted to chance. Tokens of the whole text fill up what it lacks, as the best guess of what it has not seen.
 */
public final class ExpertTokens {
    /** Tokens that an expert's statistics need for each column of its widest linear. */
    public static final int TOKENS_PER_COLUMN = 2;

    private final long needed;
    private final long allTokens;
    private final long[] seen;
    private final long[] routed;
    private final long[] added;

    /**
     * Begins to count.
     *
     * @param allTokens of the calibration text
     */
    public ExpertTokens(ModelConfig config, Experts experts, long allTokens) {
        this.needed = Math.min(allTokens, (long) TOKENS_PER_COLUMN * Math.max(config.hiddenSize(), experts.width()));
        this.allTokens = allTokens;
        this.seen = new long[experts.count()];
        this.routed = new long[experts.count()];
        this.added = new long[experts.count()];
    }

    /**
     * Returns rows for an expert beside those that the router sends to it, spread evenly over them: as many as it lacks
     * of its share of the text so far.
     */
    int[] more(Expert expert, int[] rows, int tokens) {
        int index = expert.index();
        seen[index] += tokens;
        routed[index] += rows.length;
        // Rounded up, so that the last batch ends with all that are needed.
        long wanted = (needed * seen[index] + allTokens - 1) / allTokens;
        int others = tokens - rows.length;
        int lacking = (int) Math.clamp(wanted - routed[index] - added[index], 0, others);
        added[index] += lacking;
        int[] chosen = new int[lacking];
        int row = 0;
        int at = 0;
        int next = 0;
        for (int other = 0; next < lacking; row++) {
            if (at < rows.length && rows[at] == row) {
                at++;
            } else {
                if (other == (int) (((long) next * others) / lacking)) {
                    chosen[next++] = row;
                }
                other++;
            }
        }
        return chosen;
    }

    /** Returns what was counted. */
    public QuantizationReport.Experts report() {
        return new QuantizationReport.Experts(TOKENS_PER_COLUMN, needed, list(routed), list(added));
    }

    private static List<Long> list(long[] values) {
        return LongStream.of(values).boxed().toList();
    }
}
