package nibble.eval.tasks;

import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * Holds what came of one document.
 *
 * @param document its number in the data set, from 0
 * @param requests the log-likelihoods asked for, in the order of the choices; for truthfulqa those of mc1, then of mc2;
 *     for wikitext the page's windows summed into one; none for gsm8k
 * @param gold number of the right choice; null where there is none
 * @param pick number of the likeliest choice; null where nothing is picked
 * @param text what the model wrote; gsm8k only
 * @param metrics this document's share of each figure, as {@code acc: 1}; for wikitext its {@code words} and
 *     {@code bytes}
 */
public record DocumentResult(
        int document,
        List<RequestResult> requests,
        @Nullable Integer gold,
        @Nullable Integer pick,
        @Nullable String text,
        Map<String, Double> metrics) {
    public DocumentResult {
        requests = List.copyOf(requests);
        metrics = java.util.Collections.unmodifiableMap(new java.util.LinkedHashMap<>(metrics));
    }
}
