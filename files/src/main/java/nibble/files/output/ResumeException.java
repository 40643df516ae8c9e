package nibble.files.output;

import java.nio.file.Path;
import java.util.List;

/**
 * Rejects an unfinished run that cannot be resumed, because something that determines the output's bytes has changed.
 */
public final class ResumeException extends RuntimeException {
    private static final long serialVersionUID = 1L;

    private final List<String> differences;

    /**
     * Names the differences.
     *
     * @param differences each with what was found and what was expected
     */
    public ResumeException(List<String> differences) {
        super("cannot resume: " + String.join("; ", differences));
        this.differences = List.copyOf(differences);
    }

    /**
     * Names the state that cannot be resumed.
     *
     * @param state the unfinished run's folder
     */
    public ResumeException(Path state, List<String> differences) {
        super("cannot resume the unfinished run in " + state
                + ", because something has changed since it began:\n  "
                + String.join("\n  ", differences)
                + "\n"
                + "run again with unchanged options and files, or delete that folder and run without --resume"
                + " to start again");
        this.differences = List.copyOf(differences);
    }

    public List<String> differences() {
        return differences;
    }
}
