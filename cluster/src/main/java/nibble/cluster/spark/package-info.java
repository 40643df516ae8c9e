/** Spark itself: the driver's context, tasks with their results, and the one engine of an executor. */
@NullMarked
package nibble.cluster.spark;

import org.jspecify.annotations.NullMarked;
