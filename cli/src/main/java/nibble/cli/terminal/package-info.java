/** Figures, tables, progress and streams of the terminal. */
@NullMarked
package nibble.cli.terminal;

import org.jspecify.annotations.NullMarked;
