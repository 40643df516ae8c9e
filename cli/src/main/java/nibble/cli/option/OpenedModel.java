package nibble.cli.option;

import java.nio.file.Path;
import nibble.checkpoint.Checkpoint;
import nibble.cli.terminal.Terminal;

/** Opens a model for a command and tells the user what was read otherwise than its files say. */
public final class OpenedModel {
    private OpenedModel() {}

    public static Checkpoint open(Terminal terminal, Path model) {
        Checkpoint checkpoint = Checkpoint.open(model);
        checkpoint.remarks().forEach(remark -> terminal.note("note: " + remark.message()));
        return checkpoint;
    }
}
