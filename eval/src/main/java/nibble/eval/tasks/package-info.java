/**
 * Tasks: questions put to a model through log-likelihoods or text, by the definitions of named versions of EleutherAI's
 * lm-evaluation-harness.
 */
@NullMarked
package nibble.eval.tasks;

import org.jspecify.annotations.NullMarked;
