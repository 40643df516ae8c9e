package nibble.cli;

import org.jspecify.annotations.Nullable;

/** Options that parse but cannot be meant together or so; exit code 2. */
final class UsageException extends RuntimeException {
    private static final long serialVersionUID = 1L;

    UsageException(@Nullable String message) {
        super(message);
    }
}
