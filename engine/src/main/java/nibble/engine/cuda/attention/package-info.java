/** Attention on a card: of whole sequences, and of next tokens over blocks of the cache. */
@NullMarked
package nibble.engine.cuda.attention;

import org.jspecify.annotations.NullMarked;
