/**
 * GGUF output: {@link nibble.pack.gguf.BlockEncoder} rounds weights to GGUF's block types, {@link nibble.pack.gguf.GgufMix}
 * says which tensor gets which type, and {@link nibble.pack.gguf.GgufExporter} writes the file with the model's tokenizer.
 */
@NullMarked
package nibble.pack.gguf;

import org.jspecify.annotations.NullMarked;
