/** Encoders of GGUF's block types, and the importance matrix that weighs their errors. */
@NullMarked
package nibble.convert.blocks;

import org.jspecify.annotations.NullMarked;
