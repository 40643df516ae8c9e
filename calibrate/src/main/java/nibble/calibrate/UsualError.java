package nibble.calibrate;

import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import nibble.calibrate.job.QuantizationReport;
import nibble.calibrate.job.QuantizationReport.Linear;
import nibble.checkpoint.Checkpoint;
import nibble.checkpoint.tensor.StoredTensor;
import nibble.checkpoint.tensor.TensorSpec;
import nibble.pack.WeightReader;

/**
 * How much of a linear's weights rounding loses as a rule, and which linears lose far more.
 *
 * <p>The largest of n normally distributed weights is expected below σ√(2 ln n), so a group of n spans at most 2σ√(2 ln
 * n). With 15 steps in that span, and an error spread evenly over a step, rounding loses {@code 8 ln n / (12 · 15²)} of
 * the mean square: 1.0 % in groups of 32, 1.4 % of 128, 2.5 % of 4096. Trained weights have heavier tails, and a search
 * for scales and clips trades weights that hardly matter for others; both stay within {@link #MOST_TIMES} times that.
 * Above it something is wrong with the weights, as a rule that they lie outside the range of fp16, in which the scales
 * are kept.
 */
final class UsualError {
    /**
     * Times the size for normally distributed weights. Of the trained wiki-27m the worst linear is at 0.86 times that
     * size.
     */
    static final double MOST_TIMES = 5;

    /**
     * Of a tensor that stays fp16, relative and squared: rounding moves a number in fp16's normal range by 2^-11 of
     * itself at most. Above five times that many numbers lie below the range.
     */
    static final double MOST_OF_FP16 = MOST_TIMES * 0x1p-22;

    private UsualError() {}

    /** A sentence for each tensor outside the layers that fp16 holds worse than it holds numbers in its range. */
    static List<String> carried(Checkpoint source) {
        List<String> found = new ArrayList<>();
        for (TensorSpec spec : source.config().tensors()) {
            Optional<StoredTensor> stored = source.stored(spec.name());
            // A benchmark's weights in memory lack the head.
            if (spec.name().startsWith("model.layers.") || stored.isEmpty()) {
                continue;
            }
            double lost = WeightReader.lostInHalf(stored.get());
            if (lost > MOST_OF_FP16) {
                found.add(String.format(
                        Locale.ROOT,
                        "%s: storing it in fp16 loses %.2g %% of it (squared), more than the %.2g %% that fp16 usually"
                                + " loses at most; its numbers lie below the range of fp16 (6e-8 to 65504)",
                        spec.name(),
                        100 * lost,
                        100 * MOST_OF_FP16));
            }
        }
        return found;
    }

    /**
     * The largest relative squared error of weights that is not worth a word.
     *
     * @param bits of a code
     * @param group weights that share a scale
     */
    static double bound(int bits, int group) {
        double steps = (1 << bits) - 1;
        return MOST_TIMES * 8 * Math.log(Math.max(2, group)) / (12 * steps * steps);
    }

    /** A sentence for each linear of a layer that loses more. */
    static List<String> warnings(QuantizationReport.Layer layer, int bits, int groupSize) {
        List<String> found = new ArrayList<>();
        for (Linear linear : layer.linears()) {
            double bound = bound(bits, groupSize < 0 ? linear.inFeatures() : groupSize);
            // Written so that NaN is above every bound.
            if (!(linear.weightRelativeError() <= bound)) {
                found.add(String.format(
                        Locale.ROOT,
                        "%s: rounding loses %.2f %% of its weights (squared), more than the %.1f %% that rounding"
                                + " usually loses at most; some may lie outside the range of fp16 (6e-8 to 65504), in"
                                + " which scales are kept",
                        linear.name(),
                        100 * linear.weightRelativeError(),
                        100 * bound));
            }
        }
        return found;
    }
}
