package nibble.cli.terminal;

/** Names the exit codes that scripts rely on; part of the command line's contract. */
public final class ExitCode {
    public static final int DONE = 0;
    /** What no message foresaw. */
    public static final int DEFECT = 1;

    public static final int WRONG_USAGE = 2;
    /** A damaged file, an unsupported model, an output that cannot be written. */
    public static final int BAD_INPUT = 3;

    public static final int DEVICE_OR_MEMORY = 4;
    public static final int NETWORK_OR_HUB = 5;
    /** Ctrl-C; 128 and the number of SIGINT, as shells have it. */
    public static final int INTERRUPTED = 130;
    /** What service managers and {@code kill} send; 128 and the number of SIGTERM. */
    public static final int TERMINATED = 143;
    /**
     * The reader of standard output went away before all was printed; 128 and the number of SIGPIPE, as shells have it.
     */
    public static final int CLOSED_PIPE = 141;

    private ExitCode() {}
}
