package nibble.cli;

import java.io.PrintWriter;
import java.io.StringWriter;

/** A command line run in this process, what it printed kept. */
final class TerminalCapture {
    private final StringWriter out = new StringWriter();
    private final StringWriter err = new StringWriter();

    int run(String... arguments) {
        return Nibble.run(new Terminal(new PrintWriter(out, true), new PrintWriter(err, true), false), arguments);
    }

    String out() {
        return out.toString();
    }

    String err() {
        return err.toString();
    }
}
