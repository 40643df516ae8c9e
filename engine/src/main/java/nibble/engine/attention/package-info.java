/** Descriptions of attention that every backend takes: heads, windows, rotary tables, parts of sequences. */
@NullMarked
package nibble.engine.attention;

import org.jspecify.annotations.NullMarked;
