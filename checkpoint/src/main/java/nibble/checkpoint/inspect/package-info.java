/** What a file of any architecture holds, and what Nibble can do with it. */
@NullMarked
package nibble.checkpoint.inspect;

import org.jspecify.annotations.NullMarked;
