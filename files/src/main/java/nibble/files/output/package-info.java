/** Durable output: folders that appear whole or not at all, journals, and runs that resume. */
@NullMarked
package nibble.files.output;

import org.jspecify.annotations.NullMarked;
