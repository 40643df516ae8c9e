/** GGUF files: header, metadata, block types, and the checkpoint they make. */
@NullMarked
package nibble.checkpoint.gguf;

import org.jspecify.annotations.NullMarked;
