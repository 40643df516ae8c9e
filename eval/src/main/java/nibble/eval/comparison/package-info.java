/**
 * Two models on the same requests: differences with paired errors, answers that flipped, and how far their next-token
 * distributions lie apart.
 *
 * <p>Start at {@link nibble.eval.comparison.ModelComparison}.
 */
@NullMarked
package nibble.eval.comparison;

import org.jspecify.annotations.NullMarked;
