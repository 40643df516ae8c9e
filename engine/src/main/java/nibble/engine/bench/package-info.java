/** Timings of a backend on random weights of given shapes: {@code nibble bench engine}. */
@NullMarked
package nibble.engine.bench;

import org.jspecify.annotations.NullMarked;
