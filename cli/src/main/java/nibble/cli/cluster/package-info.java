/** The commands that have a Spark cluster do the work. */
@NullMarked
package nibble.cli.cluster;

import org.jspecify.annotations.NullMarked;
