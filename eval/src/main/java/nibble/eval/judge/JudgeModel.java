package nibble.eval.judge;

/** Asks a model for grades. */
public interface JudgeModel {
    /**
     * Holds what it said.
     *
     * @param promptTokens as the model's server counts them; 0 if it does not
     * @param completionTokens the same of the answer
     */
    record Reply(String text, long promptTokens, long completionTokens) {}

    /** Returns its name in judgments. */
    String name();

    /**
     * Asks it.
     *
     * @param system the system's message
     * @param user what to grade, and how
     * @throws JudgeException if no answer can be had
     */
    Reply ask(String system, String user);
}
