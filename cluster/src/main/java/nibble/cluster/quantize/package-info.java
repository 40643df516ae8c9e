/** Quantization by executors: whole models, or the layers of one. */
@NullMarked
package nibble.cluster.quantize;

import org.jspecify.annotations.NullMarked;
