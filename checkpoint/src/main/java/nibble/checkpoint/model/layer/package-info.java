/** What decoder layers are made of beside their linears: norms, rope, activations and multipliers. */
@NullMarked
package nibble.checkpoint.model.layer;

import org.jspecify.annotations.NullMarked;
