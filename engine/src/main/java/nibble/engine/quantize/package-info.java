/** Quantizing a linear on a device: what calibrate asks for, whatever the device. */
@NullMarked
package nibble.engine.quantize;

import org.jspecify.annotations.NullMarked;
