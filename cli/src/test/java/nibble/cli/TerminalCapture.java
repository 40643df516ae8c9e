package nibble.cli;

import java.io.BufferedReader;
import java.io.PrintWriter;
import java.io.StringReader;
import java.io.StringWriter;
import java.util.Map;
import nibble.cli.terminal.Terminal;

/** A command line run in this process, what it printed kept. */
public final class TerminalCapture {
    private final StringWriter out = new StringWriter();
    private final StringWriter err = new StringWriter();
    private final Map<String, String> environment;
    private final String typed;

    public TerminalCapture() {
        this(Map.of(), "");
    }

    /**
     * @param environment the only environment variables there are
     * @param typed what a person types
     */
    public TerminalCapture(Map<String, String> environment, String typed) {
        this.environment = environment;
        this.typed = typed;
    }

    public int run(String... arguments) {
        return Nibble.run(terminal(), arguments);
    }

    /** What a command writes to and reads from. */
    Terminal terminal() {
        PrintWriter standardOut = new PrintWriter(out, true);
        PrintWriter standardError = new PrintWriter(err, true);
        BufferedReader in = new BufferedReader(new StringReader(typed));
        return new Terminal(standardOut, standardError, false, in, environment);
    }

    public String out() {
        return out.toString();
    }

    public String err() {
        return err.toString();
    }
}
