/** Functions that tasks of the harness name in Python, written again, and values as Python has them. */
@NullMarked
package nibble.eval.harness.functions;

import org.jspecify.annotations.NullMarked;
