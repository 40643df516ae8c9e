package nibble.cli;

import java.io.BufferedReader;
import java.io.PrintWriter;
import java.io.StringReader;
import java.io.StringWriter;
import java.util.Map;

/** A command line run in this process, what it printed kept. */
final class TerminalCapture {
    private final StringWriter out = new StringWriter();
    private final StringWriter err = new StringWriter();
    private final Map<String, String> environment;
    private final String typed;

    TerminalCapture() {
        this(Map.of(), "");
    }

    /**
     * @param environment the only environment variables there are
     * @param typed what a person types
     */
    TerminalCapture(Map<String, String> environment, String typed) {
        this.environment = environment;
        this.typed = typed;
    }

    int run(String... arguments) {
        return Nibble.run(terminal(), arguments);
    }

    /** What a command writes to and reads from. */
    Terminal terminal() {
        PrintWriter standardOut = new PrintWriter(out, true);
        PrintWriter standardError = new PrintWriter(err, true);
        BufferedReader in = new BufferedReader(new StringReader(typed));
        return new Terminal(standardOut, standardError, false, in, environment);
    }

    String out() {
        return out.toString();
    }

    String err() {
        return err.toString();
    }
}
