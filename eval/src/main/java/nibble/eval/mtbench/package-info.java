/**
 * Answers to MT-bench in FastChat's layout, for a judge of the user's choice.
 *
 * <p>Start at {@link nibble.eval.mtbench.MtBench}.
 */
@NullMarked
package nibble.eval.mtbench;

import org.jspecify.annotations.NullMarked;
