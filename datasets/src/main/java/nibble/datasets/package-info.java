/**
 * Text corpora (bundled ones work offline), tokenizers, and blocks of token ids.
 */
@NullMarked
package nibble.datasets;

import org.jspecify.annotations.NullMarked;
