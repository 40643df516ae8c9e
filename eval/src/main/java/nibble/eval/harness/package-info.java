/** Tasks from files of lm-evaluation-harness's own form, by the rules of its release 0.4.13. */
@NullMarked
package nibble.eval.harness;

import org.jspecify.annotations.NullMarked;
