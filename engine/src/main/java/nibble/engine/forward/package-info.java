/** Decoder layers as sequences of a backend's operations, over whole sequences, cached ones and trees of them. */
@NullMarked
package nibble.engine.forward;

import org.jspecify.annotations.NullMarked;
