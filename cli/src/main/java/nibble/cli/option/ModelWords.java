package nibble.cli.option;

import java.util.Map;
import java.util.Optional;
import java.util.Set;
import nibble.checkpoint.Checkpoint;
import nibble.checkpoint.vocabulary.TokenizerDescription;
import nibble.datasets.Tokenizer;
import nibble.datasets.chat.ChatTemplate;
import nibble.datasets.chat.SpecialTokens;
import nibble.datasets.chat.StopIds;

/**
 * Holds what the generation of a text needs of a model's tokenizer. The tokenizer's description is not part of it: it
 * has the whole vocabulary as JSON, and the caller's frame would keep it in memory for as long as a text is generated.
 *
 * @param tokenizer closed with this
 * @param stopIds ids that end a text
 * @param special the special tokens, as chat templates name them
 * @param texts texts of all tokens by id, or none if they were not asked for
 */
public record ModelWords(Tokenizer tokenizer, Set<Integer> stopIds, SpecialTokens special, Map<Integer, String> texts)
        implements AutoCloseable {
    /**
     * Opens the tokenizer of a checkpoint.
     *
     * @param template the format of conversations, whose stop texts end a text, too
     * @param withTexts whether the texts of tokens are asked for
     * @throws nibble.datasets.BadDatasetException if there is no tokenizer that Nibble reads
     */
    public static ModelWords open(Checkpoint checkpoint, Optional<ChatTemplate> template, boolean withTexts) {
        TokenizerDescription described = ModelTokenizer.describe(checkpoint.folder());
        Tokenizer tokenizer = ModelTokenizer.open(described);
        try {
            return new ModelWords(
                    tokenizer,
                    StopIds.of(checkpoint, described, tokenizer, template),
                    ModelChat.tokens(described),
                    withTexts ? described.texts() : Map.of());
        } catch (RuntimeException e) {
            tokenizer.close();
            throw e;
        }
    }

    @Override
    public void close() {
        tokenizer.close();
    }
}
