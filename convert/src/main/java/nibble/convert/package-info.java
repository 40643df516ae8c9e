/** The converter: plans and writes quantized and dense checkpoints; a stopped run resumes. */
@NullMarked
package nibble.convert;

import org.jspecify.annotations.NullMarked;
