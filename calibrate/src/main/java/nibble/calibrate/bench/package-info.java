/** Measures the quantizer on random weights. */
@NullMarked
package nibble.calibrate.bench;

import org.jspecify.annotations.NullMarked;
