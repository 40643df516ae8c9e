/** How a quantized linear lies in a file: AWQ, GPTQ and compressed-tensors. */
@NullMarked
package nibble.pack.layout;

import org.jspecify.annotations.NullMarked;
