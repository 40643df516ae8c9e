/** Figures of translations as sacrebleu defines them: BLEU, chrF, chrF++ and TER over all sentences of a set. */
@NullMarked
package nibble.eval.translation;

import org.jspecify.annotations.NullMarked;
