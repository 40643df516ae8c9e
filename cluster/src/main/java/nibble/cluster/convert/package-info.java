/** Conversion by executors. */
@NullMarked
package nibble.cluster.convert;

import org.jspecify.annotations.NullMarked;
