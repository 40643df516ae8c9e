package nibble.eval.comparison;

import java.nio.file.Path;
import java.util.List;
import nibble.eval.tasks.EvaluationJson;
import nibble.eval.tasks.EvaluationResult;
import org.jspecify.annotations.Nullable;

/**
 * Compares two models measured on the same requests: what {@code nibble eval tasks --baseline} writes.
 *
 * @param schema {@link #SCHEMA}
 * @param baseline the original model's result, whole
 * @param model the other model's
 * @param differences figure by figure, tasks in their order, then groups
 * @param divergence how far the next-token distributions lie apart; null where that was not measured
 */
public record ModelComparison(
        String schema,
        EvaluationResult baseline,
        EvaluationResult model,
        List<TaskDifference> differences,
        @Nullable Divergence divergence) {
    /** Name and version of the JSON's form. */
    public static final String SCHEMA = "nibble-eval-comparison-1";

    public ModelComparison {
        differences = List.copyOf(differences);
    }

    /**
     * Compares two results.
     *
     * @throws nibble.datasets.BadDatasetException if they are not of the same requests, with what differs
     */
    public static ModelComparison of(
            EvaluationResult baseline, EvaluationResult model, @Nullable Divergence divergence) {
        return new ModelComparison(SCHEMA, baseline, model, Differences.of(baseline, model), divergence);
    }

    /** Returns the JSON text, without a final newline. */
    public String toJson() {
        return EvaluationJson.text(this);
    }

    /** Reads what {@link #toJson} wrote. */
    public static ModelComparison read(Path file) {
        return EvaluationJson.read(file, ModelComparison.class, SCHEMA);
    }
}
