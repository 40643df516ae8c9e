/** Files from outside: opened, sniffed, parsed and digested strictly, with errors that name the file and the cause. */
@NullMarked
package nibble.checkpoint.source;

import org.jspecify.annotations.NullMarked;
