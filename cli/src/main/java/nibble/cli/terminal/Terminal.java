package nibble.cli.terminal;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintWriter;
import java.nio.charset.StandardCharsets;
import java.util.Map;
import java.util.Optional;

/**
 * Holds what a command has around it: results go to {@code out}, progress and errors to {@code err}.
 *
 * @param interactive whether {@code err} is a terminal that can redraw a line
 * @param in what a person types
 * @param environment environment variables
 */
public record Terminal(
        PrintWriter out, PrintWriter err, boolean interactive, BufferedReader in, Map<String, String> environment) {
    /** Set by the launcher, since Java cannot tell whether standard error alone is a terminal. */
    private static final String INTERACTIVE = "nibble.interactive";

    public static Terminal system() {
        return new Terminal(
                StandardOutput.ofProcess(),
                new PrintWriter(System.err, true, StandardCharsets.UTF_8),
                Boolean.getBoolean(INTERACTIVE),
                new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8)),
                System.getenv());
    }

    public void note(String line) {
        err.println(line);
        err.flush();
    }

    /**
     * Returns the reason why results were lost, once some were: the disk behind standard output is full, or nobody
     * reads it any more.
     */
    public Optional<IOException> lostOutput() {
        if (out instanceof StandardOutput standard) {
            return standard.refusal();
        }
        return out.checkError() ? Optional.of(new IOException("writing failed")) : Optional.empty();
    }

    /** Returns whether the reader of standard output has gone, as {@code head} does once it has its lines. */
    public static boolean isClosedPipe(IOException refusal) {
        return String.valueOf(refusal.getMessage()).contains("Broken pipe");
    }
}
