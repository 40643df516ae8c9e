/** Downloads into the shared cache, and publishing. */
@NullMarked
package nibble.hub;

import org.jspecify.annotations.NullMarked;
