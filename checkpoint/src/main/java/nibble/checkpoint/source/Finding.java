package nibble.checkpoint.source;

/**
 * Describes one thing that is wrong with a checkpoint.
 *
 * @param severity whether a loader would refuse it or read it wrongly, or a user would only miss something
 * @param check which check found it, as {@code index} or {@code scales}
 * @param message where it is, what was found and expected, what to do
 */
public record Finding(Severity severity, String check, String message) {
    /** Says how bad it is. */
    public enum Severity {
        /** A loader refuses the checkpoint, or loads it and computes something else. */
        ERROR,
        /** It loads; somebody will be surprised. */
        WARNING
    }

    public static Finding error(String check, String message) {
        return new Finding(Severity.ERROR, check, message);
    }

    public static Finding warning(String check, String message) {
        return new Finding(Severity.WARNING, check, message);
    }

    /** Turns the refusal of an opened checkpoint into a finding. */
    public static Finding of(String check, BadCheckpointException refused) {
        return error(check, String.valueOf(refused.getMessage()));
    }
}
