/**
 * The quantized number: codes, zeros and scales of a linear layer, and the layouts that carry them on disk.
 */
@NullMarked
package nibble.pack;

import org.jspecify.annotations.NullMarked;
