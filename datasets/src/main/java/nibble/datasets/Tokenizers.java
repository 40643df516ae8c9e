package nibble.datasets;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import nibble.checkpoint.Checkpoint;
import nibble.checkpoint.vocabulary.TokenizerDescription;
import nibble.files.Reasons;

/** Opens tokenizers: {@link #ofModel} that of a model. */
public final class Tokenizers {
    private Tokenizers() {}

    /**
     * Returns the tokenizer of a model, whatever files it comes in: those that {@link Checkpoint#tokenizer(Path)}
     * reads. The caller closes it.
     *
     * @param model a folder or a GGUF file
     * @throws BadDatasetException if there is none of a kind that is read here
     * @throws nibble.checkpoint.source.BadCheckpointException if its files or metadata are damaged, or there is no such
     *     model
     */
    public static Tokenizer ofModel(Path model) {
        return of(Checkpoint.tokenizer(model).orElseThrow(() -> missing(model)));
    }

    /** Returns the tokenizer that is described; the caller closes it. */
    public static Tokenizer of(TokenizerDescription described) {
        return of(described.source(), described.tokenizerJson(), described.leadingIds());
    }

    /**
     * Returns the tokenizer in {@code tokenizer.json}. What leads a text is what its own post-processor puts in front.
     *
     * @param folder a folder whose tokenizer.json says all there is to say
     * @throws BadDatasetException if {@code tokenizer.json} is missing or not a tokenizer
     */
    public static Tokenizer open(Path folder) {
        Path file = folder.resolve("tokenizer.json");
        if (!Files.isRegularFile(file)) {
            throw missing(folder);
        }
        SourceText.require(file);
        try {
            return of(file, Files.readAllBytes(file));
        } catch (IOException e) {
            throw new BadDatasetException(file + ": cannot be read as a tokenizer.json: " + Reasons.of(e), e);
        }
    }

    /**
     * Makes a tokenizer of a tokenizer.json in memory; otherwise like {@link #open}.
     *
     * @param source where it comes from, for messages
     */
    public static Tokenizer of(Path source, byte[] tokenizerJson) {
        return HuggingFaceTokenizerFile.open(source, tokenizerJson, Optional.empty());
    }

    /**
     * Makes a tokenizer of a tokenizer.json whose post-processor is known; otherwise like {@link #of(Path, byte[])}.
     *
     * @param leading ids that the post-processor puts in front of a text
     */
    public static Tokenizer of(Path source, byte[] tokenizerJson, List<Integer> leading) {
        return HuggingFaceTokenizerFile.open(source, tokenizerJson, Optional.of(leading));
    }

    /** Says that a folder has no tokenizer that is read. */
    public static BadDatasetException missing(Path folder) {
        String hint = Files.exists(folder.resolve("tokenizer.model"))
                ? "; its tokenizer.model is neither SentencePiece's BPE nor tiktoken's list, make a tokenizer.json of"
                        + " it (transformers writes one on save_pretrained)"
                : "; copy it from the model's repository";
        return new BadDatasetException(folder
                + ": no tokenizer, looked for tokenizer.json, tekken.json, tokenizer.model, vocab.json with merges.txt"
                + hint);
    }
}
