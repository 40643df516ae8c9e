package nibble.checkpoint.source;

import java.nio.file.Path;
import org.jspecify.annotations.Nullable;

/**
 * Rejects a checkpoint that cannot be used as it is: damaged, inconsistent or unsupported. The message says what
 * failed, where (file, tensor, byte), what was found and expected, and what to do.
 */
public final class BadCheckpointException extends RuntimeException {
    private static final long serialVersionUID = 1L;

    public BadCheckpointException(Path where, String message) {
        super(where + ": " + message);
    }

    public BadCheckpointException(Path where, @Nullable String message, Throwable cause) {
        super(where + ": " + message, cause);
    }
}
