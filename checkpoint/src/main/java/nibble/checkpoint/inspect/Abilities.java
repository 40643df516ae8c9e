package nibble.checkpoint.inspect;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import nibble.checkpoint.Checkpoint;
import nibble.checkpoint.source.BadCheckpointException;
import nibble.checkpoint.source.FileKind;

/**
 * Says what can be done with a model here.
 *
 * @param commands that take it
 * @param obstacle why it is no more
 */
public record Abilities(List<String> commands, Optional<String> obstacle) {
    private static final List<String> DENSE =
            List.of("inspect", "plan", "quantize", "eval", "generate", "convert", "verify");
    private static final List<String> QUANTIZED =
            List.of("inspect", "eval", "generate", "convert", "verify", "card", "publish");
    private static final List<String> GGUF =
            List.of("inspect", "plan", "quantize", "eval", "generate", "convert", "verify");
    private static final List<String> NONE = List.of("inspect");

    /** Opens the model as every command does. */
    public static Abilities of(ModelContents contents) {
        Path path = contents.path();
        if (Files.isRegularFile(path) && contents.kind() != FileKind.GGUF) {
            return new Abilities(
                    NONE, Optional.of("one file of weights; other commands take the folder with its config.json"));
        }
        try (Checkpoint checkpoint = Checkpoint.open(path)) {
            if (contents.kind() == FileKind.GGUF) {
                return new Abilities(GGUF, Optional.empty());
            }
            return new Abilities(checkpoint.config().quantization().isPresent() ? QUANTIZED : DENSE, Optional.empty());
        } catch (BadCheckpointException e) {
            String message = String.valueOf(e.getMessage());
            // What lies in the folder is named without it.
            for (String prefix : List.of(path + ": ", path + "/")) {
                message = message.startsWith(prefix) ? message.substring(prefix.length()) : message;
            }
            return new Abilities(NONE, Optional.of(message));
        }
    }
}
