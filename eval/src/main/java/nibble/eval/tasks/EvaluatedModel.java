package nibble.eval.tasks;

import java.util.Optional;
import java.util.Set;
import nibble.datasets.Tokenizer;
import nibble.datasets.chat.ChatTemplate;
import nibble.datasets.chat.SpecialTokens;
import nibble.engine.LanguageModel;

/**
 * Holds a model to be measured, with what its evaluation needs beside it. Borrows model and tokenizer.
 *
 * @param name as results name it
 * @param device as the backend describes itself
 * @param bos the id that begins texts; the end id where the tokenizer has none
 * @param eos the id that ends texts
 * @param stopIds ids that end what the model writes
 * @param bosText the text of {@code bos}; empty where no text can hold it
 * @param eosText the text of {@code eos}
 * @param chat its chat template; empty where none is asked for
 */
public record EvaluatedModel(
        String name,
        String device,
        LanguageModel model,
        Tokenizer tokenizer,
        int bos,
        int eos,
        Set<Integer> stopIds,
        String bosText,
        String eosText,
        Optional<Chat> chat) {
    /**
     * Holds what makes a conversation a text.
     *
     * @param tokens the literal tokens that the template names
     */
    public record Chat(ChatTemplate template, SpecialTokens tokens) {}

    public EvaluatedModel(
            String name,
            String device,
            LanguageModel model,
            Tokenizer tokenizer,
            int bos,
            int eos,
            Set<Integer> stopIds) {
        this(name, device, model, tokenizer, bos, eos, stopIds, "", "", Optional.empty());
    }

    public EvaluatedModel {
        stopIds = Set.copyOf(stopIds);
    }
}
