package nibble.eval;

/** Told after each window; called on the thread that measures. */
@FunctionalInterface
public interface PerplexityProgress {
    PerplexityProgress NONE = (windowsDone, windows, perplexity) -> {};

    /**
     * One more window is done.
     *
     * @param windows windows there will be
     * @param perplexity of the windows done so far
     */
    void windowDone(int windowsDone, int windows, double perplexity);
}
