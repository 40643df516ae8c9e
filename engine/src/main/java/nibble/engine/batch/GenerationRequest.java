package nibble.engine.batch;

import java.util.Set;
import nibble.engine.SamplingOptions;

/**
 * Asks for one text.
 *
 * @param prompt at least one id; with at least one new id within the service's context
 * @param maxNewTokens most ids to generate; 0 only scores or reads the prompt
 * @param stopIds ids that end the text; they are neither handed out nor counted
 * @param alternatives likeliest ids to report with each token; 0 reports the token's own log-probability alone, {@link
 *     #NO_LOG_PROBABILITIES} none
 * @param scoredFrom the first id of the prompt to be scored, by its place, at least 1; {@link #UNSCORED} if none is
 */
public record GenerationRequest(
        int[] prompt,
        SamplingOptions sampling,
        int maxNewTokens,
        Set<Integer> stopIds,
        int alternatives,
        int scoredFrom) {
    public static final int NO_LOG_PROBABILITIES = -1;
    /** Leaves a prompt's ids without scores. */
    public static final int UNSCORED = -1;

    public GenerationRequest {
        if (prompt.length == 0) {
            throw new IllegalArgumentException("no prompt ids; at least 1 needed");
        }
        if (maxNewTokens < 0) {
            throw new IllegalArgumentException(maxNewTokens + " new tokens asked, 0 or more expected");
        }
        if (alternatives < NO_LOG_PROBABILITIES) {
            throw new IllegalArgumentException(alternatives + " alternatives asked, 0 or more expected");
        }
        if (scoredFrom != UNSCORED && (scoredFrom < 1 || scoredFrom > prompt.length)) {
            throw new IllegalArgumentException(
                    "scores from id " + scoredFrom + " of " + prompt.length + " asked, 1 or more expected");
        }
    }

    /**
     * Asks for a text.
     *
     * @param scorePrompt whether the prompt's ids are scored too, all after the first
     */
    public GenerationRequest(
            int[] prompt,
            SamplingOptions sampling,
            int maxNewTokens,
            Set<Integer> stopIds,
            int alternatives,
            boolean scorePrompt) {
        this(prompt, sampling, maxNewTokens, stopIds, alternatives, scorePrompt ? 1 : UNSCORED);
    }

    /** Asks for a text without log-probabilities. */
    public GenerationRequest(int[] prompt, SamplingOptions sampling, int maxNewTokens, Set<Integer> stopIds) {
        this(prompt, sampling, maxNewTokens, stopIds, NO_LOG_PROBABILITIES, UNSCORED);
    }

    /** Returns whether tokens carry log-probabilities. */
    public boolean withLogProbabilities() {
        return alternatives != NO_LOG_PROBABILITIES;
    }

    /** Returns whether ids of the prompt are scored. */
    public boolean scorePrompt() {
        return scoredFrom != UNSCORED;
    }
}
