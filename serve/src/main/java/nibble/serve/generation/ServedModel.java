package nibble.serve.generation;

import java.util.List;
import java.util.Optional;
import java.util.Set;
import nibble.checkpoint.vocabulary.TokenizerDescription;
import nibble.datasets.Tokenizer;
import nibble.datasets.chat.ChatTemplate;
import nibble.engine.batch.GenerationService;

/**
 * Holds what is served.
 *
 * @param names by which clients ask for the model; the first one stands in answers
 * @param root where the model comes from, for {@code /v1/models}
 * @param tokenizer the model's; whoever made it closes it
 * @param template how a conversation becomes a text; empty if the model has none and the user named none
 * @param stopIds ids that end a text
 * @param vocabularySize ids that the model has a row for
 * @param contextTokens most ids of a text, its prompt included; no more than the service's
 * @param service generates; whoever made it closes it
 */
public record ServedModel(
        List<String> names,
        String root,
        Tokenizer tokenizer,
        TokenizerDescription described,
        Optional<ChatTemplate> template,
        Set<Integer> stopIds,
        int vocabularySize,
        int contextTokens,
        GenerationService service) {
    public ServedModel {
        names = List.copyOf(names);
        stopIds = Set.copyOf(stopIds);
        if (names.isEmpty()) {
            throw new IllegalArgumentException("a served model needs a name");
        }
    }

    public String name() {
        return names.getFirst();
    }
}
