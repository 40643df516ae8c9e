/** Kernels of the CPU, a file each, in the Vector API. */
@NullMarked
package nibble.engine.host.vector;

import org.jspecify.annotations.NullMarked;
