/** From a template's text to its statements and expressions. */
@NullMarked
package nibble.jinja.syntax;

import org.jspecify.annotations.NullMarked;
