package nibble.eval;

/** Is told after each window; called on the thread that measures. */
@FunctionalInterface
public interface PerplexityProgress {
    PerplexityProgress NONE = (windowsDone, windows, perplexity) -> {};

    /**
     * Hears that one more window is done.
     *
     * @param windows windows there will be
     * @param perplexity of the windows done so far
     */
    void windowDone(int windowsDone, int windows, double perplexity);
}
