package nibble.convert;

import java.io.IOException;
import java.nio.file.AccessDeniedException;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;

/** Output that could not be written: disk full, no permission, folder in use. The message says where and what to do. */
public final class OutputException extends RuntimeException {
    private static final long serialVersionUID = 1L;

    public OutputException(Path where, String message) {
        super(where + ": " + message);
    }

    public OutputException(Path where, String message, Throwable cause) {
        super(where + ": " + message, cause);
    }

    /** The same refusal with more to say on it. */
    public OutputException(OutputException cause, String more) {
        super(cause.getMessage() + "; " + more, cause);
    }

    /** What the operating system refused while {@code doing} (as "writing"), with advice that fits the refusal. */
    public static OutputException of(Path where, String doing, IOException cause) {
        String reason = cause.getMessage() == null ? cause.toString() : cause.getMessage();
        String advice =
                switch (cause) {
                    case AccessDeniedException _ -> "permission denied; choose a folder you may write to";
                    case FileAlreadyExistsException _ -> "it exists already; remove it or choose another name";
                    case NoSuchFileException _ -> "a part of the path does not exist; check the path";
                    default ->
                        reason.contains("No space left") || reason.contains("Disk quota")
                                ? reason + "; free some disk space or choose another disk, then run again"
                                : reason + "; check the disk and the folder's permissions, then run again";
                };
        return new OutputException(where, doing + " failed: " + advice, cause);
    }
}
