/** Options of tasks and the run of them, which commands for one machine and for a cluster share. */
@NullMarked
package nibble.cli.evaluation;

import org.jspecify.annotations.NullMarked;
