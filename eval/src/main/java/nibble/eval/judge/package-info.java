/** Has another model grade answers to MT-bench, as FastChat's single-answer grading does. */
@NullMarked
package nibble.eval.judge;

import org.jspecify.annotations.NullMarked;
