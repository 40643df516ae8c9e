package nibble.engine.bench;

import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * Holds what {@link BatchBenchmark} measured.
 *
 * @param device as the backend describes itself
 * @param steps of several numbers of sequences
 * @param answers of a load of prompts; null if none was asked for
 * @param peakDeviceBytes most memory taken of the card; 0 on the host
 */
public record BatchTimings(
        String device, List<Step> steps, @Nullable Answers answers, long peakDeviceBytes) {
    /**
     * Times steps in which each sequence gets its next token, scheduling and choice of tokens included.
     *
     * @param context tokens of each sequence before the first step that counts
     * @param seconds median of a step
     * @param promptTokensPerSecond while the prompts were read
     */
    public record Step(int sequences, int context, double seconds, double promptTokensPerSecond) {
        public double tokensPerSecond() {
            return sequences / seconds;
        }
    }

    /**
     * Times answers to prompts that all wait at the beginning.
     *
     * @param longestWait most steps of the batch from a token of a running sequence to its next
     */
    public record Answers(
            int prompts,
            int sequences,
            long promptTokens,
            long newTokens,
            long preemptions,
            int longestWait,
            double seconds) {}
}
