/** The chat templates that a checkpoint carries. */
@NullMarked
package nibble.checkpoint.chat;

import org.jspecify.annotations.NullMarked;
