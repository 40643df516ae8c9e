/** Backward passes of a quantized model whose codes stay fixed. */
@NullMarked
package nibble.engine.gradient;

import org.jspecify.annotations.NullMarked;
