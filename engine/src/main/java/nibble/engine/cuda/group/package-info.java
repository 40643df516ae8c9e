/** Several cards that share one quantization. */
@NullMarked
package nibble.engine.cuda.group;

import org.jspecify.annotations.NullMarked;
