/** The quantized number: grid, rounding, codes, scales and zeros of a linear. */
@NullMarked
package nibble.pack;

import org.jspecify.annotations.NullMarked;
