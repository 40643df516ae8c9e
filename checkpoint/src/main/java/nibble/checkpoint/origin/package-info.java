/** Where a checkpoint came from, by its reports and its card's front matter. */
@NullMarked
package nibble.checkpoint.origin;

import org.jspecify.annotations.NullMarked;
