/**
 * The arithmetic of quantizing one linear: statistics of its input, output errors of rounding it this way or that, the clip of
 * each group, and the rounding. What to try and what to take is the business of {@code nibble.calibrate}.
 */
@NullMarked
package nibble.engine.quantize;

import org.jspecify.annotations.NullMarked;
