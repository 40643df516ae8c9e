/** What config.json says: architecture, extents, rope, quantization, and the name and shape of each linear. */
@NullMarked
package nibble.checkpoint.model;

import org.jspecify.annotations.NullMarked;
