/**
 * The documents of benchmarks: bundled ones, one's own files, and Parquet files of the hub where its cache has them.
 */
@NullMarked
package nibble.datasets.evaluation;

import org.jspecify.annotations.NullMarked;
