/** The questions of MT-bench, bundled and from files of the same layout. */
@NullMarked
package nibble.datasets.mtbench;

import org.jspecify.annotations.NullMarked;
