/** Texts for a file of prompts: {@code generate --prompts}. */
@NullMarked
package nibble.cli.prompts;

import org.jspecify.annotations.NullMarked;
