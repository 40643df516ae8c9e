/** A checkpoint as it lies on the disk, of any format: its files, configuration, tensors and weights. */
@NullMarked
package nibble.checkpoint;

import org.jspecify.annotations.NullMarked;
