/** The model on top of a backend: sessions, sampling, generation and scoring. */
@NullMarked
package nibble.engine;

import org.jspecify.annotations.NullMarked;
