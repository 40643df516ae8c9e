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
        if (!Files.exists(model.resolve("tokenizer.json"))) {
            try (Checkpoint checkpoint = Checkpoint.open(model)) {
                Map<String, byte[]> made = checkpoint.madeFiles();
                byte[] json = made.get("tokenizer.json");
                if (json != null) {
                    return Tokenizers.of(model, json, made.getOrDefault("tokenizer_config.json", new byte[0]));
                }
            }
        }
        return Tokenizers.open(model);
    }
}
