package nibble.eval.tasks;

import org.jspecify.annotations.Nullable;

/**
 * Holds one figure.
 *
 * @param metric {@code acc}, {@code acc_norm}, {@code mc1}, {@code mc2}, {@code exact_match_strict},
 *     {@code exact_match_flexible}, {@code perplexity}, {@code word_perplexity}, {@code byte_perplexity},
 *     {@code bits_per_byte}
 * @param value fractions are of 1, not of 100
 * @param stderr standard error; null where none is defined
 * @param documents how many documents it is of
 * @param higherIsBetter whether a better model has a greater value
 */
public record MetricValue(
        String metric, double value, @Nullable Double stderr, int documents, boolean higherIsBetter) {}
