/** Safetensors files and the sharded index, read and written. */
@NullMarked
package nibble.checkpoint.safetensors;

import org.jspecify.annotations.NullMarked;
