/** Computes backward passes on a card, in fp32: {@link nibble.engine.backend.GradientOperations}. */
@NullMarked
package nibble.engine.cuda.gradient;

import org.jspecify.annotations.NullMarked;
