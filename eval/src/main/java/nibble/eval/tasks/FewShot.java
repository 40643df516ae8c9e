package nibble.eval.tasks;

import java.util.ArrayList;
import java.util.List;
import java.util.OptionalInt;
import java.util.stream.IntStream;
import nibble.datasets.PythonRandom;

/**
 * Which documents are measured in which order, and which examples stand before each: the harness's choices, draw by
 * draw.
 *
 * @param preset whose rules
 * @param task of which
 * @param shots examples before each document
 * @param examples how many there are to draw from
 * @param fromMeasured whether examples are drawn from the measured documents themselves
 */
record FewShot(Preset preset, Task task, int shots, int examples, boolean fromMeasured) {

    /**
     * One document's turn.
     *
     * @param document its number in the data set
     * @param shots numbers of its examples, in their order
     */
    record Turn(int document, List<Integer> shots) {
        Turn {
            shots = List.copyOf(shots);
        }
    }

    /** @param documents how many there are */
    List<Turn> turns(int documents, OptionalInt limit) {
        PythonRandom random = new PythonRandom(preset.seed());
        List<Integer> order = new ArrayList<>(numbers(documents));
        if (preset == Preset.LEADERBOARD_V1) {
            random.shuffle(order);
        }
        List<Integer> pool = numbers(examples);
        return order.stream()
                .limit(limit.orElse(documents))
                .map(document -> new Turn(document, shots(random, pool, document)))
                .toList();
    }

    private List<Integer> shots(PythonRandom random, List<Integer> pool, int document) {
        if (shots == 0) {
            return List.of();
        }
        if (task == Task.MMLU) {
            return pool.subList(0, Math.min(shots, pool.size()));
        }
        List<Integer> drawn = random.sample(pool, shots + (drawsOneMore() ? 1 : 0));
        return drawn.stream()
                .filter(example -> !fromMeasured || example != document)
                .limit(shots)
                .toList();
    }

    /**
     * One more is drawn where the document itself might be among them. Release 0.4 takes that to be so, too, where
     * neither a test part nor a part for examples is named.
     */
    private boolean drawsOneMore() {
        return fromMeasured
                || preset != Preset.LEADERBOARD_V1
                        && (task == Task.HELLASWAG || task == Task.WINOGRANDE || task == Task.PIQA);
    }

    private static List<Integer> numbers(int count) {
        return IntStream.range(0, count).boxed().toList();
    }
}
