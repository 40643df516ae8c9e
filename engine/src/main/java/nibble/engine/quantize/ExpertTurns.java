package nibble.engine.quantize;

import java.util.ArrayList;
import java.util.List;
import nibble.checkpoint.model.Expert;
import nibble.checkpoint.model.LinearInput;
import nibble.checkpoint.model.ModelConfig;

/**
 * Says which experts of a layer have moments together while method best fits them. Gates and ups of all share one
 * scale, so all of them do. Downs have scales of their own, and wide ones take turns.
 */
public final class ExpertTurns {
    /** Elements of C and both N that moments of downs have together at most; one expert may have more. */
    private static final long ELEMENTS = 1L << 28;

    private ExpertTurns() {}

    /** Counts the numbers of an expert's moments: C, and N of either half. */
    private static long elements(int columns) {
        return 3L * columns * columns;
    }

    /**
     * Returns the experts of each turn, in order.
     *
     * @param input GATE_UP or DOWN
     */
    public static List<List<Expert>> of(ModelConfig config, List<Expert> experts, LinearInput input) {
        return of(config, experts, input, ELEMENTS);
    }

    static List<List<Expert>> of(ModelConfig config, List<Expert> experts, LinearInput input, long most) {
        if (input != LinearInput.DOWN) {
            return experts.isEmpty() ? List.of() : List.of(experts);
        }
        List<List<Expert>> turns = new ArrayList<>();
        long together = 0;
        for (Expert expert : experts) {
            long its = elements(config.width(input, expert));
            if (turns.isEmpty() || together + its > most) {
                turns.add(new ArrayList<>());
                together = 0;
            }
            turns.getLast().add(expert);
            together += its;
        }
        return turns;
    }
}
