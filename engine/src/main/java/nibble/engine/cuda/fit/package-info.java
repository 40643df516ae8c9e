/** Method best on a card, one step a file; {@link nibble.engine.host.fit} is the specification. */
@NullMarked
package nibble.engine.cuda.fit;

import org.jspecify.annotations.NullMarked;
