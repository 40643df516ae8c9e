package nibble.cli.option;

import java.nio.file.Files;
import java.nio.file.Path;
import nibble.checkpoint.Checkpoint;
import nibble.checkpoint.vocabulary.TokenizerDescription;
import nibble.datasets.Tokenizer;
import nibble.datasets.Tokenizers;

/** Returns the tokenizer of whatever a MODEL argument names, from the one description of it. */
public final class ModelTokenizer {
    private ModelTokenizer() {}

    public static Tokenizer open(Path model) {
        return Tokenizers.ofModel(model);
    }

    public static Tokenizer open(TokenizerDescription described) {
        return Tokenizers.of(described);
    }

    /**
     * Describes the tokenizer of a folder.
     *
     * @throws nibble.datasets.BadDatasetException if there is none that Nibble reads
     */
    public static TokenizerDescription describe(Path model) {
        return Checkpoint.tokenizer(model).orElseThrow(() -> Tokenizers.missing(model));
    }

    /** Checks that whoever loads what is made of the model will have a tokenizer, be it one that is not read here. */
    public static void require(Path model) {
        if (!Files.isRegularFile(model.resolve("tokenizer.model"))) {
            describe(model);
        }
    }
}
