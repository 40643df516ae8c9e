/** Backward passes on a card, in fp32: the operations of {@link nibble.engine.backend.GradientOperations}. */
@NullMarked
package nibble.engine.cuda.gradient;

import org.jspecify.annotations.NullMarked;
