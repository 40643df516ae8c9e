/** Model cards, made from a checkpoint and its measured figures. */
@NullMarked
package nibble.hub.card;

import org.jspecify.annotations.NullMarked;
