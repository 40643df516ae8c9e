package nibble.files.output;

import java.nio.file.Path;
import java.util.List;

/** An unfinished run that cannot be gone on with, since something that decides the output's bytes is not as it was. */
public final class ResumeException extends RuntimeException {
    private static final long serialVersionUID = 1L;

    private final List<String> differences;

    /** @param differences each with what was found and what was expected */
    public ResumeException(List<String> differences) {
        super("cannot resume: " + String.join("; ", differences));
        this.differences = List.copyOf(differences);
    }

    /** @param state the unfinished run's folder */
    public ResumeException(Path state, List<String> differences) {
        super("cannot resume the unfinished run in " + state
                + ", since not everything is as it was when it began:\n  "
                + String.join("\n  ", differences)
                + "\n"
                + "run again with everything as it was, or delete that folder and run without --resume to"
                + " begin anew");
        this.differences = List.copyOf(differences);
    }

    public List<String> differences() {
        return differences;
    }
}
