/** How a checkpoint says that its linears are quantized: layouts, their settings in config.json, and their tensors. */
@NullMarked
package nibble.checkpoint.model.quantization;

import org.jspecify.annotations.NullMarked;
