/**
 * Checkpoints in and out: safetensors files and their sharded index, Hugging Face configuration, side files.
 *
 * <p>Start at {@link nibble.convert.Checkpoint}. Nothing here does arithmetic on weights: a tensor is a name, a type, a
 * shape and a mapped {@link java.lang.foreign.MemorySegment}.
 */
@NullMarked
package nibble.convert;

import org.jspecify.annotations.NullMarked;
