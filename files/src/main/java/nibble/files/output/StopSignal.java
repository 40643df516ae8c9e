package nibble.files.output;

/** Asks a run to stop at its next safe point; may be raised from any thread, as from a signal handler. */
public final class StopSignal {
    private volatile boolean raised;

    /** Asks to stop. */
    public void raise() {
        raised = true;
    }

    public boolean raised() {
        return raised;
    }
}
