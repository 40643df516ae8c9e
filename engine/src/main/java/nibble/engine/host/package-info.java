/** Backends of the CPU: the reference in plain loops, and the one in vector instructions. */
@NullMarked
package nibble.engine.host;

import org.jspecify.annotations.NullMarked;
