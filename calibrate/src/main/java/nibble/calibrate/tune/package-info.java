/** The stage of method best that tunes scales and norms by the divergence of the whole model. */
@NullMarked
package nibble.calibrate.tune;

import org.jspecify.annotations.NullMarked;
