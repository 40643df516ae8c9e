package nibble.cli;

import java.nio.file.Path;
import nibble.convert.Checkpoint;

/** Opens a model for a command and tells the user what was read otherwise than its files say. */
final class OpenedModel {
    private OpenedModel() {}

    static Checkpoint open(Terminal terminal, Path model) {
        Checkpoint checkpoint = Checkpoint.open(model);
        checkpoint.remarks().forEach(remark -> terminal.note("note: " + remark.message()));
        return checkpoint;
    }
}
