/** Evaluation by executors: windows of a text, and requests of tasks. */
@NullMarked
package nibble.cluster.eval;

import org.jspecify.annotations.NullMarked;
