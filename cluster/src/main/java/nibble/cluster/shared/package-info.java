/** Files that all hosts see. */
@NullMarked
package nibble.cluster.shared;

import org.jspecify.annotations.NullMarked;
