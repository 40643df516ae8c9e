package nibble.eval.judge;

import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * Holds one line of FastChat's {@code model_judgment/JUDGE_single.jsonl}.
 *
 * @param model whose answer it is
 * @param judge the judge's name, and the prompt's
 * @param systemPrompt what the judge is, as it was told; FastChat's readers pass over it
 * @param userPrompt what it was asked
 * @param judgment what the judge said
 * @param score what it gave, usually 1 to 10; {@link #NONE} where it gave none
 * @param turn 1 or 2
 * @param tstamp seconds since 1970
 * @param promptTokens as the judge's server counts them; FastChat's readers pass over both
 * @param completionTokens the same of the judgment
 */
public record Judgment(
        int questionId,
        String model,
        List<String> judge,
        String systemPrompt,
        String userPrompt,
        String judgment,
        double score,
        int turn,
        double tstamp,
        long promptTokens,
        long completionTokens) {
    /** What FastChat writes where a judgment has no score. */
    public static final double NONE = -1;

    private static final Pattern SCORE = Pattern.compile("\\[\\[(\\d+\\.?\\d*)\\]\\]");
    private static final Pattern PLAINER = Pattern.compile("\\[(\\d+\\.?\\d*)\\]");

    public Judgment {
        judge = List.copyOf(judge);
        if (!Double.isFinite(score)) {
            throw new IllegalArgumentException("score " + score);
        }
    }

    /** Returns the first number in double brackets, else the first in single ones, else {@link #NONE}. */
    static double score(String judgment) {
        for (Pattern pattern : List.of(SCORE, PLAINER)) {
            Matcher matcher = pattern.matcher(judgment);
            if (matcher.find()) {
                return Double.parseDouble(matcher.group(1));
            }
        }
        return NONE;
    }
}
