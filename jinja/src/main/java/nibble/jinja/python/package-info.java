/**
 * The part of Python's values that templates see: {@code str}, {@code int}, {@code list} and their kin with their
 * operators, methods, formats and ways of being printed.
 *
 * <p>Values are Java objects: {@code String} is {@code str}, {@code BigInteger} is {@code int}, {@code Double} is
 * {@code float},
 * {@code Boolean} is {@code bool}; the rest are classes of this package. Positions in texts count code points, as
 * Python does. Whatever makes something of a size that the template chooses asks {@link nibble.jinja.python.Budget}
 * first.
 */
@NullMarked
package nibble.jinja.python;

import org.jspecify.annotations.NullMarked;
