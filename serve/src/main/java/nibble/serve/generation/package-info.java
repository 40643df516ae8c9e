/**
 * The texts of a request while they grow: tokens from the service's thread become pieces of text in the request's own.
 */
@NullMarked
package nibble.serve.generation;

import org.jspecify.annotations.NullMarked;
