package nibble.eval.judge;

/** Reports that a judge gives no answer; the message says why, and holds no key. */
public final class JudgeException extends RuntimeException {
    private static final long serialVersionUID = 1L;

    JudgeException(String message) {
        super(message);
    }

    JudgeException(String message, Throwable cause) {
        super(message, cause);
    }
}
