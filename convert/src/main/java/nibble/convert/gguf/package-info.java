/** Export to GGUF: mix of types, metadata and vocabulary. */
@NullMarked
package nibble.convert.gguf;

import org.jspecify.annotations.NullMarked;
