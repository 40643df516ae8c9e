/** The converter: plans and writes 4-bit and dense checkpoints; a stopped run resumes. */
@NullMarked
package nibble.convert;

import org.jspecify.annotations.NullMarked;
