package nibble.eval.tasks;

import java.util.List;

/**
 * Says how a task was measured.
 *
 * @param preset whose rules: prompts, few-shot choice, splitting, metrics
 * @param dataset the documents
 * @param fewshot examples before each question
 * @param fewshotSource where they come from: the data set's part, or {@code evaluated} for the measured documents
 *     themselves, each without itself
 * @param fewshotSeed of Python's generator; 42 or 1234 by the presets
 * @param bos whether one BOS id led every request
 * @param contextTokens the longest request the model takes; longer ones lose their beginning
 * @param deviations what differs from the preset, in words; empty if nothing does
 */
public record TaskRecipe(
        String preset,
        DatasetPart dataset,
        int fewshot,
        String fewshotSource,
        int fewshotSeed,
        boolean bos,
        int contextTokens,
        List<String> deviations) {
    public TaskRecipe {
        deviations = List.copyOf(deviations);
    }
}
