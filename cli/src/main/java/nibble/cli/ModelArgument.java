package nibble.cli;

import java.nio.file.Path;
import java.util.Optional;
import nibble.convert.hub.HubSettings;
import nibble.convert.hub.ModelName;

/**
 * MODEL on a command line: a folder, or a hub's ORG/NAME[@REVISION][:FILE], which is downloaded on first use. The one
 * place that turns what was written into a folder.
 */
record ModelArgument(String text) {
    static final String DESCRIPTION =
            "A folder, or ORG/NAME[@REVISION][:FILE] of the hub, which is downloaded once and kept; FILE says"
            + " which of several GGUF files, by its name or a part of it, as Q4_K_M.";

    /** The folder, downloaded if it is the hub's, with progress shown. */
    Path folder(Terminal terminal) {
        ModelName name = new ModelName(text);
        if (name.repo().isEmpty()) {
            return Path.of(text);
        }
        HubSettings settings = HubOptions.settings(terminal, Optional.empty());
        try (TransferProgress progress = new TransferProgress(terminal)) {
            return name.resolve(settings, progress);
        } catch (IllegalArgumentException e) {
            throw new UsageException(e.getMessage());
        }
    }

    @Override
    public String toString() {
        return text;
    }
}
