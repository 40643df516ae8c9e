/** Quantizing on one or several cards. */
@NullMarked
package nibble.engine.cuda.quantize;

import org.jspecify.annotations.NullMarked;
