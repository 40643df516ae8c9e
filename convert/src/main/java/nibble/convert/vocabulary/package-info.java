/**
 * Vocabularies in the three forms that checkpoints carry them: SentencePiece's tokenizer.model, GGUF's metadata and Hugging
 * Face's tokenizer.json. Text is not encoded here; that is {@code nibble.datasets}' work.
 */
@NullMarked
package nibble.convert.vocabulary;

import org.jspecify.annotations.NullMarked;
