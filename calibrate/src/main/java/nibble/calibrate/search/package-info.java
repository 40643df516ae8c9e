/** The choice of scales, clips and codes for one layer. */
@NullMarked
package nibble.calibrate.search;

import org.jspecify.annotations.NullMarked;
