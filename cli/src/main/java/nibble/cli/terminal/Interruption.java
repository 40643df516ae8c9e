package nibble.cli.terminal;

/**
 * Ctrl-C and other requests to end. The JVM ends with 130 by itself and shutdown hooks remove unfinished output, while the
 * command's own threads still run; here they can see it.
 */
public final class Interruption {
    private static volatile boolean finished;
    private static volatile boolean underway;

    private Interruption() {}

    /** Whether the JVM is ending before the command came to its end. */
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

    public static void commandFinished() {
        finished = true;
    }
}
