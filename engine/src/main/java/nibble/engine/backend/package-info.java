/** What a device offers: matrices, weights, operations, placed models. ReferenceBackend is the specification. */
@NullMarked
package nibble.engine.backend;

import org.jspecify.annotations.NullMarked;
