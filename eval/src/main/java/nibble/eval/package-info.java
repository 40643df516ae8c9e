/**
 * Perplexity by named recipe.
 */
@NullMarked
package nibble.eval;

import org.jspecify.annotations.NullMarked;
