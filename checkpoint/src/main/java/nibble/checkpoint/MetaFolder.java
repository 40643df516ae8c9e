package nibble.checkpoint;

import java.lang.foreign.Arena;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import nibble.checkpoint.model.ModelConfig;
import nibble.checkpoint.source.BadCheckpointException;
import nibble.checkpoint.source.StrictJson;
import nibble.checkpoint.torch.MetaCheckpoint;
import nibble.checkpoint.vocabulary.TokenizerDescription;

/** Reads a folder as Meta publishes it: params.json, consolidated.00.pth and further parts, tokenizer.model. */
public final class MetaFolder {
    public static final String PARAMS = "params.json";

    private MetaFolder() {}

    static Checkpoint.Contents open(Path folder, Arena arena) {
        List<Path> files = new ArrayList<>();
        while (Files.exists(part(folder, files.size()))) {
            files.add(part(folder, files.size()));
        }
        if (files.isEmpty()) {
            throw new BadCheckpointException(
                    folder, "params.json but no consolidated.00.pth; get the whole checkpoint again");
        }
        Path params = folder.resolve(PARAMS);
        MetaCheckpoint checkpoint = new MetaCheckpoint(folder, StrictJson.readObject(params), files, arena);
        return new Checkpoint.Contents(
                ModelConfig.of(params, checkpoint.configJson()),
                checkpoint.tensors(),
                () -> TokenizerDescription.ofFolder(folder),
                List.of());
    }

    private static Path part(Path folder, int index) {
        return folder.resolve("consolidated.%02d.pth".formatted(index));
    }
}
