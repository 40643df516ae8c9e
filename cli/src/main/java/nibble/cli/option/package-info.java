/** Options and arguments that commands share. */
@NullMarked
package nibble.cli.option;

import org.jspecify.annotations.NullMarked;
