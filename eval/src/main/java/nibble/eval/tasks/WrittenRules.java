package nibble.eval.tasks;

import java.util.List;
import nibble.datasets.evaluation.EvaluationDocument;
import nibble.datasets.evaluation.EvaluationDocument.MathProblem;

/** The rules of the presets whose tasks are written in Java. */
record WrittenRules(Task task, Preset preset) implements TaskRules {
    @Override
    public DocumentResult judged(PreparedTask.Item item, List<RequestResult> results) {
        return new Judgement(task, preset).of(item.number(), (EvaluationDocument) item.document(), results);
    }

    @Override
    public DocumentResult judged(PreparedTask.Item item, String text) {
        return new Judgement(task, preset).of(item.number(), (MathProblem) item.document(), text);
    }

    @Override
    public List<MetricValue> figures(List<DocumentResult> documents) {
        return Aggregates.of(task, preset, documents);
    }
}
