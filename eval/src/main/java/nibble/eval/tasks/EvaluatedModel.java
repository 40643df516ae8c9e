package nibble.eval.tasks;

import java.util.Set;
import nibble.datasets.Tokenizer;
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
        String eosText) {
    public EvaluatedModel(
            String name,
            String device,
            LanguageModel model,
            Tokenizer tokenizer,
            int bos,
            int eos,
            Set<Integer> stopIds) {
        this(name, device, model, tokenizer, bos, eos, stopIds, "", "");
    }

    public EvaluatedModel {
        stopIds = Set.copyOf(stopIds);
    }
}
