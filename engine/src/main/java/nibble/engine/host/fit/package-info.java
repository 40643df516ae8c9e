/** Method best on the CPU, one step a file. */
@NullMarked
package nibble.engine.host.fit;

import org.jspecify.annotations.NullMarked;
