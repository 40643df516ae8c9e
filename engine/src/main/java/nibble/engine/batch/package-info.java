/**
 * Generates many texts at once: a paged KV cache, continuous batching, and the thread that runs it.
 */
@NullMarked
package nibble.engine.batch;

import org.jspecify.annotations.NullMarked;
