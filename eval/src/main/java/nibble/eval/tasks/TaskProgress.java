package nibble.eval.tasks;

/** Is told after each pass; called on the thread that measures. */
@FunctionalInterface
public interface TaskProgress {
    TaskProgress NONE = (_, _, _) -> {};

    /**
     * Hears that more documents are done.
     *
     * @param fraction of the run's work, by ids that go through the model
     * @param documents done, those of an earlier run included
     * @param all documents there are
     */
    void passDone(double fraction, int documents, int all);
}
