package nibble.datasets.chat;

import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import nibble.checkpoint.Checkpoint;
import nibble.checkpoint.GenerationConfig;
import nibble.checkpoint.vocabulary.TokenizerDescription;
import nibble.datasets.Tokenizer;

/** Finds the ids that end a text. */
public final class StopIds {
    private StopIds() {}

    /** Returns the ids that config.json, generation_config.json and the model's tokenizer name. */
    public static Set<Integer> of(Checkpoint checkpoint) {
        return Checkpoint.tokenizer(checkpoint.folder())
                .map(described -> of(checkpoint, described))
                .orElseGet(() -> ofConfigs(checkpoint));
    }

    /**
     * Returns the ids of either config file, the tokenizer's own, and stop texts that are one token, which decoding
     * would not show.
     */
    public static Set<Integer> of(
            Checkpoint checkpoint,
            TokenizerDescription described,
            Tokenizer tokenizer,
            Optional<ChatTemplate> template) {
        Set<Integer> ids = of(checkpoint, described);
        for (String stop : template.map(ChatTemplate::stops).orElse(List.of())) {
            int[] encoded = tokenizer.encode(stop, false);
            if (encoded.length == 1) {
                ids.add(encoded[0]);
            }
        }
        return ids;
    }

    /** Returns the ids of either config file and the tokenizer's own. */
    public static Set<Integer> of(Checkpoint checkpoint, TokenizerDescription described) {
        Set<Integer> ids = ofConfigs(checkpoint);
        ids.addAll(described.stopIds());
        return ids;
    }

    private static Set<Integer> ofConfigs(Checkpoint checkpoint) {
        Set<Integer> ids = new HashSet<>(checkpoint.config().eosIds());
        ids.addAll(GenerationConfig.of(checkpoint.folder()).eosIds());
        return ids;
    }
}
