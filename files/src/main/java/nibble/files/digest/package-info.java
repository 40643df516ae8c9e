/** SHA-256 and CRC-32C. */
@NullMarked
package nibble.files.digest;

import org.jspecify.annotations.NullMarked;
