/** Every check that a loader makes, for each format. */
@NullMarked
package nibble.convert.verify;

import org.jspecify.annotations.NullMarked;
