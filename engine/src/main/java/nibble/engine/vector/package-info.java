/**
 * The kernels of {@link nibble.engine.VectorBackend}: one file per operation, on plain {@code float[]}, through the Vector
 * API. {@link nibble.engine.vector.MicroKernel} is the product everything large is made of: weights, keys, values and
 * probabilities alike are put into panels of 32 columns and multiplied by it.
 *
 * <p>Whatever the split into tasks, the sum behind one output is taken in one order; so results do not depend on the number
 * of threads. They do depend, in the last bits, on the vector width.
 */
@NullMarked
package nibble.engine.vector;

import org.jspecify.annotations.NullMarked;
