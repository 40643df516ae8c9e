package nibble.cli.option;

import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.Optional;
import nibble.cli.terminal.Terminal;
import nibble.cli.terminal.TransferProgress;
import nibble.hub.ModelName;
import nibble.hub.client.HubSettings;
import org.jspecify.annotations.Nullable;

/**
 * Holds MODEL on a command line: a folder, or a hub's ORG/NAME[@REVISION][:FILE], which is downloaded on first use. The
 * one place that turns what was written into a folder.
 */
public record ModelArgument(String text) {
    public static final String DESCRIPTION =
            "A folder, or ORG/NAME[@REVISION][:FILE] on the hub, downloaded once. FILE picks one of several GGUF files"
                    + " by its name or a part of it, such as Q4_K_M.";

    /**
     * Looks whether there is such a file or folder; the hub is not asked for what has the form of a repository's name.
     * Commands do this before anything else.
     *
     * @throws InputException if there is none
     */
    public void require() {
        if (new ModelName(text).repo().isEmpty() && !exists()) {
            throw new InputException(text + ": no such folder or file; check the path");
        }
    }

    /** Does what {@link #require()} does, of an option that may be absent. */
    public static void require(@Nullable ModelArgument model) {
        if (model != null) {
            model.require();
        }
    }

    /** Returns whether this is a file or folder here. */
    public boolean exists() {
        try {
            return Files.exists(Path.of(text));
        } catch (InvalidPathException e) {
            return false;
        }
    }

    /** Returns the folder, downloaded if it is the hub's, with progress shown. */
    public Path folder(Terminal terminal) {
        require();
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

    /** Returns what to call the model: its name on the hub, or that of the folder or file. */
    public String defaultName() {
        if (new ModelName(text).repo().isPresent()) {
            return text;
        }
        Path name = Path.of(text).toAbsolutePath().normalize().getFileName();
        return name == null ? text : name.toString();
    }

    @Override
    public String toString() {
        return text;
    }
}
