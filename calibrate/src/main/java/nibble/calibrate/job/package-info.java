/** What a quantization is asked for and what it tells: options, progress, report. */
@NullMarked
package nibble.calibrate.job;

import org.jspecify.annotations.NullMarked;
