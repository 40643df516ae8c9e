/** Trial rounding on the CPU: input statistics, clip search, output errors. */
@NullMarked
package nibble.engine.host.quantize;

import org.jspecify.annotations.NullMarked;
