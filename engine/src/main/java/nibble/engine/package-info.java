/**
 * The Llama forward pass, its backends, KV cache, sampling.
 */
@NullMarked
package nibble.engine;

import org.jspecify.annotations.NullMarked;
