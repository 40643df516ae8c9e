package nibble.convert.vocabulary;

import java.util.List;
import java.util.Optional;

/**
 * All that GGUF's metadata says of a tokenizer.
 *
 * @param model {@code llama} for SentencePiece, {@code gpt2} for byte-level BPE
 * @param split GGUF's name for the way to split text before merging
 * @param pieces by id, as many as the model's embedding has rows
 * @param merges of byte-level BPE, pairs separated by a space
 * @param bosId id of the token that begins a text, or -1; {@code eosId}, {@code unknownId} and {@code paddingId} likewise
 * @param addBos whether a text is encoded with the BOS in front
 * @param spaceInFront whether a text is encoded as if it began with a space
 */
public record Vocabulary(
        String model,
        String split,
        List<Piece> pieces,
        List<String> merges,
        int bosId,
        int eosId,
        int unknownId,
        int paddingId,
        boolean addBos,
        boolean addEos,
        boolean spaceInFront,
        Optional<String> chatTemplate) {
    public Vocabulary {
        pieces = List.copyOf(pieces);
        merges = List.copyOf(merges);
    }
}
