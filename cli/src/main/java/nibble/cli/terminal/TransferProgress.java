package nibble.cli.terminal;

import nibble.hub.client.TransferListener;
import org.jspecify.annotations.Nullable;

/** Shows each stage of a transfer as a step of its own. */
public final class TransferProgress implements TransferListener, AutoCloseable {
    private final Terminal terminal;
    private @Nullable Progress step;

    public TransferProgress(Terminal terminal) {
        this.terminal = terminal;
    }

    @Override
    public synchronized void stage(String what) {
        close();
        step = new Progress(terminal, what);
    }

    @Override
    public synchronized void bytes(long done, long total) {
        if (step != null && total > 0) {
            double seconds = step.seconds();
            String rate = seconds > 1 ? Figures.bytes(Math.round(done / seconds)) + "/s" : "";
            step.at(Math.clamp((double) done / total, 0, 1), rate);
        }
    }

    @Override
    public synchronized void note(String what) {
        terminal.note(what);
    }

    @Override
    public synchronized void close() {
        if (step != null) {
            step.close();
            step = null;
        }
    }
}
