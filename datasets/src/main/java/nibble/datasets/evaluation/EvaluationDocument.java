package nibble.datasets.evaluation;

import java.util.List;

/** Holds one item of a benchmark. */
public sealed interface EvaluationDocument {

    /**
     * Holds a question with answers to choose from: ARC, HellaSwag (the question is the text to go on with,
     * preprocessed as the harness has it), MMLU, PIQA, OpenBookQA.
     *
     * @param subject of MMLU's, as {@code high_school_physics}; empty elsewhere
     * @param gold number of the right choice
     */
    record MultipleChoice(String subject, String question, List<String> choices, int gold)
            implements EvaluationDocument {
        public MultipleChoice {
            choices = List.copyOf(choices);
        }
    }

    /**
     * Holds a question of TruthfulQA.
     *
     * @param single answers of which the first is the true one
     * @param many answers of which some are true
     * @param isTrue one for each of {@code many}
     */
    record TruthfulQuestion(String question, List<String> single, List<String> many, List<Boolean> isTrue)
            implements EvaluationDocument {
        public TruthfulQuestion {
            single = List.copyOf(single);
            many = List.copyOf(many);
            isTrue = List.copyOf(isTrue);
        }
    }

    /**
     * Holds a sentence of WinoGrande.
     *
     * @param sentence with an underscore where one of the options belongs
     * @param gold 0 for the first option, 1 for the second
     */
    record BlankSentence(String sentence, String option1, String option2, int gold) implements EvaluationDocument {}

    /** Holds a passage of LAMBADA and its last word. */
    record LastWord(String context, String word) implements EvaluationDocument {}

    /**
     * Holds a problem of GSM8K.
     *
     * @param answer the way to the solution, ending in {@code #### NUMBER}
     */
    record MathProblem(String question, String answer) implements EvaluationDocument {}

    /** Holds an article of wikitext-2 as the raw file has it. */
    record Page(String text) implements EvaluationDocument {}
}
