package nibble.datasets.mtbench;

import java.util.List;

/**
 * Holds one question of MT-bench.
 *
 * @param id FastChat's {@code question_id}; 81 to 160 for the published ones
 * @param category as {@code writing} or {@code math}
 * @param turns what the user says, one after the other; two in the published ones
 * @param references right answers, one for each turn as far as there are any
 */
public record MtBenchQuestion(int id, String category, List<String> turns, List<String> references) {
    public MtBenchQuestion {
        turns = List.copyOf(turns);
        references = List.copyOf(references);
    }
}
