/** Spreads evaluation, quantization and conversion over the executors of a Spark cluster. */
@NullMarked
package nibble.cluster;

import org.jspecify.annotations.NullMarked;
