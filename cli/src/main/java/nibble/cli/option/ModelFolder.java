package nibble.cli.option;

import java.nio.file.Path;
import nibble.checkpoint.Checkpoint;
import nibble.checkpoint.GgufLocation;

/** Opens the folder of a model that is to be published. */
public final class ModelFolder {
    private ModelFolder() {}

    /**
     * Checks that it is one. Of a GGUF file it is said first whether Nibble can do anything with what it holds.
     *
     * @throws InputException if there is no such folder
     * @throws nibble.checkpoint.source.BadCheckpointException if it is a GGUF file that is damaged or not supported
     */
    public static void require(Path folder) {
        if (GgufLocation.isGguf(folder)) {
            Checkpoint.open(folder).close();
        }
        InputFile.requireFolder("", folder);
    }
}
