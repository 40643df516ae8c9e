package nibble.engine.quantize;

import nibble.pack.QuantizedLinear;

/**
 * Holds a fitted linear.
 *
 * @param linear in the basis of the fit
 * @param loss {@code Σ e C eᵀ} over its rows, a mean over tokens, against the weights it was fitted to
 * @param roundedLoss the same of plain rounding against the original weights
 * @param weightError {@code ‖Ŵ−W‖² / ‖W‖²}, both in the basis of the fit
 * @param narrowedGroups share of groups with a scale below plain rounding's
 * @param meanRange mean over all groups of the scale as a share of plain rounding's, at most 1
 * @param share of the move that undoes earlier errors, 0 … 1
 * @param sweeps sweeps of coordinate descent, a mean over its rows
 */
public record Fitted(
        QuantizedLinear linear,
        double loss,
        double roundedLoss,
        double weightError,
        double narrowedGroups,
        double meanRange,
        double share,
        double sweeps) {}
