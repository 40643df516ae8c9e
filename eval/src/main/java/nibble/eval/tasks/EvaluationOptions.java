package nibble.eval.tasks;

import java.util.OptionalInt;

/**
 * Says how tasks are measured where it is not as the preset says.
 *
 * @param preset whose rules
 * @param shots examples before each question; empty for the preset's number
 * @param limit documents of a task at most, the first in the preset's order
 * @param bos whether one BOS id leads every request, whatever the preset says
 * @param fewShotFromMeasured draw examples from the measured documents where the set they belong in is not at hand
 * @param shareBeginnings compute what neighbouring requests begin with once; off only to measure what that gains
 */
public record EvaluationOptions(
        Preset preset,
        OptionalInt shots,
        OptionalInt limit,
        boolean bos,
        boolean fewShotFromMeasured,
        boolean shareBeginnings) {
    /** Returns whether requests begin with what the tokenizer puts in front of a text. */
    public boolean leads() {
        return bos || preset.readsFiles();
    }

    /** Takes what the preset says. */
    public static EvaluationOptions of(Preset preset) {
        return new EvaluationOptions(preset, OptionalInt.empty(), OptionalInt.empty(), false, false, true);
    }
}
