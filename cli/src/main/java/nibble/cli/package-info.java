/**
 * The picocli commands; nothing else.
 */
@NullMarked
package nibble.cli;

import org.jspecify.annotations.NullMarked;
