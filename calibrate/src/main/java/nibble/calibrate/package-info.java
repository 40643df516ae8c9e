/**
 * Second moments of linear inputs, scale search, clip search, and the layer-by-layer quantization pipeline.
 */
@NullMarked
package nibble.calibrate;

import org.jspecify.annotations.NullMarked;
