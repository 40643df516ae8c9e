/**
 * The model card: the README.md of a repository, with what was done and what was measured.
 *
 * <p>{@link nibble.convert.card.ModelCard} collects values from the checkpoint's own files and from the JSON that {@code eval}
 * writes, and fills a Jinja template with them. No figure comes from anywhere else.
 */
@NullMarked
package nibble.convert.card;

import org.jspecify.annotations.NullMarked;
