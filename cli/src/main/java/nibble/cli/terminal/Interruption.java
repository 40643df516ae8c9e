package nibble.cli.terminal;

/**
 * Handles Ctrl-C and other requests to end. The JVM ends by itself with 128 and the signal's number, and shutdown hooks
 * remove unfinished output, while the command's own threads still run; here they can see it. A command that ends itself
 * when it is safe gives the same exit code ({@link StopOnSignal}).
 */
public final class Interruption {
    private static volatile boolean finished;
    private static volatile boolean underway;
    private static volatile int exitCode = ExitCode.INTERRUPTED;

    private Interruption() {}

    /** Returns whether the JVM is ending before the command came to its end. */
    public static boolean underway() {
        return underway;
    }

    /** Says on {@code terminal} when the JVM ends before {@link #commandFinished}. */
    public static void watch(Terminal terminal) {
        Runtime.getRuntime()
                .addShutdownHook(new Thread(
                        () -> {
                            if (!finished) {
                                underway = true;
                                terminal.note("nibble: interrupted");
                            }
                        },
                        "say that the command was interrupted"));
    }

    /** Returns the exit code of a command that {@link StopOnSignal} stopped. */
    public static int exitCode() {
        return exitCode;
    }

    static void stoppedWith(int code) {
        exitCode = code;
    }

    public static void commandFinished() {
        finished = true;
    }
}
