/**
 * Templates in the language of Jinja2 3.1, as transformers sets it up for chat templates, without anything of Java
 * within their reach and with bounds on all that they use.
 *
 * <p>{@link nibble.jinja.Template} is the way in. A text becomes {@code Token}s ({@code Lexer}), these become
 * {@code Statement}s and {@code Expression}s ({@code Parser}), {@code Analysis} finds where names live,
 * {@code Renderer} and {@code Evaluator} run them over the values of {@link nibble.jinja.python}.
 */
@NullMarked
package nibble.jinja;

import org.jspecify.annotations.NullMarked;
