package nibble.engine.bench;

import org.jspecify.annotations.Nullable;

/**
 * Holds what {@link ModelBenchmark} measured of one checkpoint.
 *
 * @param device as the backend describes itself
 * @param prefillTokens of one sequence, read at once
 * @param prefillTokensPerSecond median over repetitions
 * @param context tokens in the cache before the first generated one
 * @param decodeTokens generated one after another
 * @param decodeTokensPerSecond by the median of their times; embedding, head and the way of the logits included
 * @param weightBytesPerToken weights that a generated token reads, as they are stored
 * @param bytesPerSecond those bytes by the median time
 * @param readBytesPerSecond what a loop that only reads memory reaches on this device with as many threads
 * @param residentBytes memory of the process after generating, mapped files included; null where the system does not
 *     tell
 * @param ownBytes the part of it that is no mapped file: heap, cache of keys and values, code; null likewise
 * @param deviceBytes memory of the card that is taken after generating: weights, cache, activations; null on the CPU
 */
public record ModelTimings(
        String device,
        int prefillTokens,
        double prefillTokensPerSecond,
        int context,
        int decodeTokens,
        double decodeTokensPerSecond,
        long weightBytesPerToken,
        double bytesPerSecond,
        double readBytesPerSecond,
        @Nullable Long residentBytes,
        @Nullable Long ownBytes,
        @Nullable Long deviceBytes) {}
