package nibble.files.output;

import java.io.IOException;
import java.nio.file.AccessDeniedException;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import nibble.files.Reasons;

/**
 * Reports output that could not be written: disk full, no permission, folder in use. The message says where and what to
 * do.
 */
public final class OutputException extends RuntimeException {
    private static final long serialVersionUID = 1L;

    public OutputException(Path where, String message) {
        super(where + ": " + message);
    }

    public OutputException(Path where, String message, Throwable cause) {
        super(where + ": " + message, cause);
    }

    /** Repeats a refusal with more to say on it. */
    public OutputException(OutputException cause, String more) {
        super(cause.getMessage() + "; " + more, cause);
    }

    /** Says what the operating system refused while {@code doing} (as "writing"), with advice that fits the refusal. */
    public static OutputException of(Path where, String doing, IOException cause) {
        String reason = Reasons.of(cause);
        String advice = switch (cause) {
            case AccessDeniedException _ -> "choose a folder you may write to";
            case FileAlreadyExistsException _ -> "remove it or choose another name";
            case NoSuchFileException _ -> "check the path";
            default -> advice(reason);
        };
        return new OutputException(where, doing + " failed: " + reason + "; " + advice, cause);
    }

    private static String advice(String reason) {
        if (reason.contains("No space left") || reason.contains("quota")) {
            return "free some disk space or choose another disk, then run again";
        }
        if (reason.contains("Read-only file system")) {
            return "choose a folder on a disk that can be written";
        }
        if (reason.contains("name too long")) {
            return "choose a shorter name";
        }
        return "check the disk and the folder's permissions, then run again";
    }
}
