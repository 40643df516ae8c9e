/** Matrices of activations, and weights in the forms that a checkpoint or a device holds them. */
@NullMarked
package nibble.engine.tensor;

import org.jspecify.annotations.NullMarked;
