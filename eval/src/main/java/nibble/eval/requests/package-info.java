/** How the requests of an evaluation get their answers. */
@NullMarked
package nibble.eval.requests;

import org.jspecify.annotations.NullMarked;
