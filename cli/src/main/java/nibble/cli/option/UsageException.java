package nibble.cli.option;

import org.jspecify.annotations.Nullable;

/** Rejects options that parse but cannot be meant together or so; exit code 2. */
public final class UsageException extends RuntimeException {
    private static final long serialVersionUID = 1L;

    public UsageException(@Nullable String message) {
        super(message);
    }
}
