package nibble.engine.quantize;

import java.util.ArrayList;
import java.util.List;
import nibble.checkpoint.model.Expert;
import nibble.checkpoint.model.LinearInput;
import nibble.checkpoint.model.ModelConfig;

/**
 * Says which experts of a layer have moments together while it is quantized. Gates and ups of all share one scale, so
 * turns of theirs must be taken once for each thing that is asked of all: they have much room. Downs have scales of
 * their own, and with method best they take short turns.
 */
public final class ExpertTurns {
    /** Elements of C and both N that moments of downs have together at most; one expert may have more. */
    private static final long DOWN_ELEMENTS = 1L << 28;

    /** The same of gates and ups, where nothing else is known of the memory. */
    public static final long ELEMENTS = 1L << 31;

    private ExpertTurns() {}

    /** Counts the numbers of an expert's moments. */
    private static long elements(int columns, int moments) {
        return (long) moments * columns * columns;
    }

    /** Returns how many elements the moments of an input of some experts have together. */
    public static long elements(ModelConfig config, List<Expert> experts, LinearInput input, int moments) {
        return experts.stream()
                .mapToLong(expert -> elements(config.width(input, expert), moments))
                .sum();
    }

    /**
     * Returns the experts of each turn, in order.
     *
     * @param input GATE_UP or DOWN
     * @param moments matrices of columns by columns that each expert has
     * @param most elements of moments of gates and ups that may be there together; one expert may have more
     */
    public static List<List<Expert>> of(
            ModelConfig config, List<Expert> experts, LinearInput input, int moments, long most) {
        return turns(config, experts, input, moments, input == LinearInput.DOWN ? DOWN_ELEMENTS : most);
    }

    static List<List<Expert>> turns(
            ModelConfig config, List<Expert> experts, LinearInput input, int moments, long most) {
        List<List<Expert>> turns = new ArrayList<>();
        long together = 0;
        for (Expert expert : experts) {
            long its = elements(config.width(input, expert), moments);
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
