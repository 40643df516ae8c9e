package nibble.eval.harness;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import nibble.datasets.BadDatasetException;
import nibble.datasets.PythonRandom;
import org.jspecify.annotations.Nullable;

/** Draws examples as the harness does: from one generator for all documents of a task, or the first ones. */
final class Examples {
    private final TaskConfig task;
    private final List<Map<String, @Nullable Object>> pool;
    private final boolean withoutItself;
    private final boolean first;
    private final PythonRandom random;

    /** @param withoutItself whether a document is no example of its own */
    Examples(TaskConfig task, List<Map<String, @Nullable Object>> pool, boolean withoutItself, long seed) {
        this.task = task;
        this.pool = pool;
        this.withoutItself = withoutItself;
        this.first = switch (task.sampler()) {
            case "default" -> false;
            case "first_n" -> true;
            default ->
                throw new BadDatasetException(
                        task.place() + ": sampler " + task.sampler() + " is unknown; default and first_n are known");
        };
        this.random = new PythonRandom(seed);
    }

    /** Numbers of a document's examples in the pool, in their order. */
    List<Integer> draw(Map<String, @Nullable Object> document, int count) {
        if (count == 0) {
            return List.of();
        }
        List<Integer> all = numbers(null);
        if (first) {
            List<Integer> others = withoutItself ? numbers(document) : all;
            require(count, others.size());
            return others.subList(0, count);
        }
        if (!withoutItself) {
            require(count, all.size());
            return random.sample(all, count);
        }
        require(count + 1, all.size());
        List<Integer> drawn = new ArrayList<>(random.sample(all, count + 1));
        drawn.removeIf(number -> pool.get(number).equals(document));
        if (drawn.size() < count) {
            List<Integer> others = numbers(document);
            require(count, others.size());
            return random.sample(others, count);
        }
        return List.copyOf(drawn.subList(0, count));
    }

    private List<Integer> numbers(@Nullable Map<String, @Nullable Object> without) {
        List<Integer> numbers = new ArrayList<>();
        for (int i = 0; i < pool.size(); i++) {
            if (without == null || !pool.get(i).equals(without)) {
                numbers.add(i);
            }
        }
        return numbers;
    }

    private void require(int count, int there) {
        if (there < count) {
            throw new BadDatasetException("%s: %d examples to draw%s, only %d are there; give a smaller --num-fewshot"
                    .formatted(task.name(), count, withoutItself && !first ? " (one more than asked)" : "", there));
        }
    }
}
