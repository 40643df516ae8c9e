/** One description of a tokenizer, made from any of the files that tokenizers come in. */
@NullMarked
package nibble.checkpoint.vocabulary;

import org.jspecify.annotations.NullMarked;
