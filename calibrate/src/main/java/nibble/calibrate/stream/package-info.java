/** The calibration blocks on their way through the model, and their statistics. */
@NullMarked
package nibble.calibrate.stream;

import org.jspecify.annotations.NullMarked;
