package nibble.eval.report;

import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import nibble.datasets.BadDatasetException;
import nibble.eval.comparison.ModelComparison;
import nibble.eval.tasks.EvaluationJson;
import nibble.eval.tasks.EvaluationResult;

/**
 * Holds the material of a report. Nothing is in it that was not measured.
 *
 * @param model the model's tasks
 * @param comparison with a baseline, if there is one
 * @param perplexities of either model
 * @param layers what quantization did to each layer, if known
 */
public record Report(
        EvaluationResult model,
        Optional<ModelComparison> comparison,
        List<PerplexityFigure> perplexities,
        Optional<LayerErrors> layers) {
    public Report {
        perplexities = List.copyOf(perplexities);
    }

    /**
     * Reads the files of measurements.
     *
     * @param result of {@code nibble eval tasks --json}, with or without a baseline in it
     * @param baseline the baseline's, where the result has none in it
     * @param perplexities files of {@code nibble eval perplexity --json}
     * @param quantizationReport a checkpoint's {@code quantization_report.json}
     * @throws BadDatasetException naming the file, if one is not what it should be, or the results are not of the same
     *     requests
     */
    public static Report read(
            Path result, Optional<Path> baseline, List<Path> perplexities, Optional<Path> quantizationReport) {
        Optional<ModelComparison> comparison;
        EvaluationResult model;
        if (EvaluationJson.schema(result).equals(ModelComparison.SCHEMA)) {
            if (baseline.isPresent()) {
                throw new BadDatasetException(result + ": has a baseline in it; leave --baseline out");
            }
            comparison = Optional.of(ModelComparison.read(result));
            model = comparison.get().model();
        } else {
            model = EvaluationJson.read(result);
            comparison = baseline.map(file -> ModelComparison.of(EvaluationJson.read(file), model, null));
        }
        return new Report(
                model,
                comparison,
                perplexities.stream().map(PerplexityFigure::read).toList(),
                quantizationReport.map(LayerErrors::read));
    }
}
