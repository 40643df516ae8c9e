/** Keys of config.json as such: what transformers assumes for absent ones, and those that no architecture reads. */
@NullMarked
package nibble.checkpoint.model.keys;

import org.jspecify.annotations.NullMarked;
