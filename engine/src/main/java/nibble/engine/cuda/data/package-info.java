/** Matrices and weights on a card. */
@NullMarked
package nibble.engine.cuda.data;

import org.jspecify.annotations.NullMarked;
