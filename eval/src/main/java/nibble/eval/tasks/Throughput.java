package nibble.eval.tasks;

/**
 * Holds what the run cost. Documents taken over from an earlier, interrupted run count in {@code resumedDocuments}
 * alone.
 *
 * @param requests log-likelihoods and texts computed
 * @param tokensComputed ids that went through the model
 * @param tokensWithoutSharing ids that would have without sharing of beginnings
 * @param flops of scoring: linears, attention and head, two operations a multiply-add; writing text is not counted
 * @param wallSeconds of the forward passes and the work between them
 * @param requestsPerSecond {@code requests / wallSeconds}
 * @param flopsPerSecond {@code flops / wallSeconds}
 */
public record Throughput(
        long requests,
        int resumedDocuments,
        long tokensComputed,
        long tokensWithoutSharing,
        double flops,
        double wallSeconds,
        double requestsPerSecond,
        double flopsPerSecond) {}
