/** Backward passes of a quantized model. */
@NullMarked
package nibble.engine.gradient;

import org.jspecify.annotations.NullMarked;
