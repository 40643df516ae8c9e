package nibble.eval.tasks;

import java.util.List;
import nibble.datasets.evaluation.EvaluationDocument;
import org.jspecify.annotations.Nullable;

/**
 * A task ready to be asked: documents and examples chosen, texts made.
 *
 * @param name as results name it; {@code mmlu_SUBJECT} for a part of mmlu
 * @param group of which it is a part
 * @param items in the order of the preset
 */
record PreparedTask(String name, @Nullable String group, Task task, TaskRecipe recipe, List<Item> items) {
    PreparedTask {
        items = List.copyOf(items);
    }

    /**
     * One document.
     *
     * @param number in the data set (of the subject)
     * @param shots numbers of its examples
     */
    record Item(int number, EvaluationDocument document, List<Integer> shots, Ask ask) {}
}
