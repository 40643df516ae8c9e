package nibble.cli.terminal;

import java.util.ArrayList;
import java.util.List;
import nibble.files.output.StopSignal;
import sun.misc.Signal;
import sun.misc.SignalHandler;

/**
 * Makes Ctrl-C and SIGTERM ask for a clean stop while it is open; the second one ends the process at once, which loses
 * the layer at work and nothing more. Open it only around work that keeps what it finished: before that, a signal ends
 * the process at once.
 */
public final class StopOnSignal implements AutoCloseable {
    private record Replaced(Signal signal, SignalHandler handler) {}

    private final List<Replaced> replaced = new ArrayList<>();
    private final StopSignal stop = new StopSignal();

    public StopOnSignal(Terminal terminal) {
        for (String name : List.of("INT", "TERM")) {
            try {
                Signal signal = new Signal(name);
                replaced.add(new Replaced(signal, Signal.handle(signal, _ -> raise(terminal, signal))));
            } catch (IllegalArgumentException e) {
                // The JVM or the one who started it keeps this signal for itself; then it ends the process as usual.
            }
        }
    }

    private void raise(Terminal terminal, Signal signal) {
        int code = 128 + signal.getNumber();
        if (stop.raised()) {
            Runtime.getRuntime().halt(code);
        }
        Interruption.stoppedWith(code);
        stop.raise();
        terminal.note("stopping as soon as it is safe; a second signal stops at once");
    }

    public StopSignal signal() {
        return stop;
    }

    @Override
    public void close() {
        replaced.forEach(former -> Signal.handle(former.signal(), former.handler()));
    }
}
