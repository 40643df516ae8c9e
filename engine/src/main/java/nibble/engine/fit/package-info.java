/**
 * Codes and scales of a linear that fit the second moments of its input better than rounding does, in closed form.
 *
 * <p>The loss of a row is {@code e C eᵀ} with {@code e} its error and {@code C} the second moment of what the quantized model
 * feeds the linear ({@link nibble.engine.fit.PairedMoments}). {@link nibble.engine.fit.Propagation} first moves the weights
 * so that they undo the error of what was quantized before. Then, each step on its own and each optional
 * ({@link nibble.engine.fit.FitSteps}): {@link nibble.engine.fit.RangeSearch}, {@link nibble.engine.fit.CompensatedRounding},
 * {@link nibble.engine.fit.CoordinateDescent}, {@link nibble.engine.fit.ScaleRefit}. All of it is per row, so results do not
 * depend on the number of threads.
 */
@NullMarked
package nibble.engine.fit;

import org.jspecify.annotations.NullMarked;
