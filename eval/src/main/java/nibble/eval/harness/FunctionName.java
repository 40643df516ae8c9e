package nibble.eval.harness;

import nibble.datasets.BadDatasetException;

/**
 * Names a Python function that a task's file refers to.
 *
 * @param name module and function, as {@code utils.process_docs}
 * @param place of the file, for messages
 * @param family name of the folder that holds the file, as {@code hellaswag}
 * @param line of the file, from 1
 */
record FunctionName(String name, String place, String family, int line) {
    /** Says that there is no such function here. */
    BadDatasetException unknown(String why) {
        return new BadDatasetException(place + ", line " + line + ": !function " + name + " is Python, " + why
                + "; write the rule as a Jinja template, or measure this task with lm-evaluation-harness");
    }
}
