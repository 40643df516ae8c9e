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
 */
public record EvaluatedModel(
        String name, String device, LanguageModel model, Tokenizer tokenizer, int bos, int eos, Set<Integer> stopIds) {
    public EvaluatedModel {
        stopIds = Set.copyOf(stopIds);
    }
}
