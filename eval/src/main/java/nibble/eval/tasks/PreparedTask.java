package nibble.eval.tasks;

import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * Holds a task that is ready to be asked: documents and examples chosen, texts made.
 *
 * @param name as results name it; {@code mmlu_SUBJECT} for a part of mmlu
 * @param group of which it is a part
 * @param rules what answers are worth
 * @param items in the order of the preset
 */
public record PreparedTask(String name, @Nullable String group, TaskRules rules, TaskRecipe recipe, List<Item> items) {
    public PreparedTask {
        items = List.copyOf(items);
    }

    /**
     * Holds one document.
     *
     * @param number in the data set (of the subject)
     * @param document as the rules know it
     * @param shots numbers of its examples
     */
    public record Item(int number, Object document, List<Integer> shots, Ask ask) {}
}
