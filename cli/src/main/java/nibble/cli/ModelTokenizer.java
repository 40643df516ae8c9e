package nibble.cli;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import nibble.convert.Checkpoint;
import nibble.datasets.Tokenizer;
import nibble.datasets.Tokenizers;

/** The tokenizer of whatever a MODEL argument names: its tokenizer.json, or one made of what it has instead. */
final class ModelTokenizer {
    private ModelTokenizer() {}

    static Tokenizer open(Path model) {
        Map<String, byte[]> made = made(model);
        byte[] json = made.get("tokenizer.json");
        return json == null
                ? Tokenizers.open(model)
                : Tokenizers.of(model, json, made.getOrDefault("tokenizer_config.json", new byte[0]));
    }

    /** Checks that whoever loads what is made of the model will have a tokenizer. */
    static void require(Path model) {
        if (!made(model).containsKey("tokenizer.json")) {
            Tokenizers.require(model);
        }
    }

    private static Map<String, byte[]> made(Path model) {
        if (Files.exists(model.resolve("tokenizer.json"))) {
            return Map.of();
        }
        try (Checkpoint checkpoint = Checkpoint.open(model)) {
            return checkpoint.madeFiles();
        }
    }
}
