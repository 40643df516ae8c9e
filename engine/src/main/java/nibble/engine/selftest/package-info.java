/** Checks of a backend against the reference, on awkward sizes with derived bounds: {@code nibble selftest}. */
@NullMarked
package nibble.engine.selftest;

import org.jspecify.annotations.NullMarked;
