package nibble.engine.backend;

/**
 * One step of Adam on a {@link Parameter} (Kingma and Ba, arXiv 1412.6980): with the slope g of a change,
 * {@code m = β₁ m + (1 − β₁) g}, {@code v = β₂ v + (1 − β₂) g²}, {@code change −= rate · m / (√(v / correction) + ε)}.
 *
 * @param rate divided by the first moment's correction
 * @param correction of the second moment: {@code 1 − β₂^steps}
 * @param firstDecay β₁
 * @param secondDecay β₂
 * @param epsilon ε
 * @param leastChange changes stay at or above it
 */
public record AdamStep(
        double rate, double correction, double firstDecay, double secondDecay, double epsilon, float leastChange) {}
