/** Finished layers, kept durably so that a stopped run resumes. */
@NullMarked
package nibble.calibrate.journal;

import org.jspecify.annotations.NullMarked;
