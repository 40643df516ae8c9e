/**
 * Files as they meet people: what stands in the way of reading one ({@link nibble.files.FileFault}), what a refusal of
 * the system or of a library means in words ({@link nibble.files.Reasons}), small files written whole or not at all
 * ({@link nibble.files.WholeFile}).
 */
@NullMarked
package nibble.files;

import org.jspecify.annotations.NullMarked;
