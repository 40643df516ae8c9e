/** PyTorch's zip files and Meta's consolidated checkpoints, read without running their pickles. */
@NullMarked
package nibble.checkpoint.torch;

import org.jspecify.annotations.NullMarked;
