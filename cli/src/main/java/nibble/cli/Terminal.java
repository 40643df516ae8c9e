package nibble.cli;

import java.io.PrintWriter;

/**
 * Where a command writes: results to {@code out}, progress and errors to {@code err}.
 *
 * @param interactive whether {@code err} is a terminal that can redraw a line
 */
record Terminal(PrintWriter out, PrintWriter err, boolean interactive) {
    /** Set by the launcher, since Java cannot tell whether standard error alone is a terminal. */
    private static final String INTERACTIVE = "nibble.interactive";

    static Terminal system() {
        java.nio.charset.Charset utf8 = java.nio.charset.StandardCharsets.UTF_8;
        return new Terminal(
                new PrintWriter(System.out, true, utf8),
                new PrintWriter(System.err, true, utf8),
                Boolean.getBoolean(INTERACTIVE));
    }

    void note(String line) {
        err.println(line);
        err.flush();
    }
}
