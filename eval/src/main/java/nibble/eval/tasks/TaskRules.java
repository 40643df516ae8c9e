package nibble.eval.tasks;

import java.util.List;

/** Says what a model's answers are worth: a task's rules, for one document and for all. */
public interface TaskRules {
    /**
     * Judges log-likelihoods.
     *
     * @param results of the requests in their order; one for a rolled text
     */
    DocumentResult judged(PreparedTask.Item item, List<RequestResult> results);

    /** Judges a text that the model wrote. */
    DocumentResult judged(PreparedTask.Item item, String text);

    /** Computes the task's figures, the one that is usually quoted first. */
    List<MetricValue> figures(List<DocumentResult> documents);
}
