/** Types, shapes and values of tensors, whatever file holds them. */
@NullMarked
package nibble.checkpoint.tensor;

import org.jspecify.annotations.NullMarked;
