/** A class for each command. */
@NullMarked
package nibble.cli.command;

import org.jspecify.annotations.NullMarked;
