package nibble.eval.tasks;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import nibble.datasets.BadDatasetException;
import nibble.datasets.evaluation.EvaluationData;
import nibble.datasets.evaluation.EvaluationDocument;
import nibble.datasets.evaluation.EvaluationDocument.MultipleChoice;
import nibble.datasets.evaluation.EvaluationDocuments;
import nibble.datasets.evaluation.EvaluationSet;

/** Makes tasks ready to be asked. */
final class TaskPreparation {
    private final EvaluationOptions options;
    private final EvaluationData data;
    private final int contextTokens;

    TaskPreparation(EvaluationOptions options, EvaluationData data, int contextTokens) {
        this.options = options;
        this.data = data;
        this.contextTokens = contextTokens;
    }

    /** @throws BadDatasetException if documents or examples cannot be had, or there are too few of them */
    List<PreparedTask> prepare(Task task) {
        EvaluationDocuments documents = data.require(task.documents());
        int shots = task.takesShots() ? options.shots().orElse(task.shots(options.preset())) : 0;
        Optional<EvaluationDocuments> examples = shots == 0 ? Optional.empty() : examples(task);
        if (task != Task.MMLU) {
            return List.of(prepare(task, task.id(), documents, documents.documents(), examples, shots));
        }
        Map<String, List<EvaluationDocument>> bySubject = bySubject(documents);
        Map<String, List<EvaluationDocument>> examplesBySubject =
                examples.map(TaskPreparation::bySubject).orElse(Map.of());
        List<PreparedTask> tasks = new ArrayList<>();
        bySubject.forEach((subject, own) -> {
            Optional<EvaluationDocuments> ownExamples = examples.map(e -> new EvaluationDocuments(
                    e.set(), e.source(), e.sha256(), examplesBySubject.getOrDefault(subject, List.of())));
            tasks.add(prepare(task, task.id() + "_" + subject, documents, own, ownExamples, shots));
        });
        return tasks;
    }

    private static Map<String, List<EvaluationDocument>> bySubject(EvaluationDocuments documents) {
        Map<String, List<EvaluationDocument>> bySubject = new LinkedHashMap<>();
        for (EvaluationDocument document : documents.documents()) {
            bySubject
                    .computeIfAbsent(((MultipleChoice) document).subject(), _ -> new ArrayList<>())
                    .add(document);
        }
        return bySubject;
    }

    /** The set that examples belong in; empty if they are to come from the measured documents. */
    private Optional<EvaluationDocuments> examples(Task task) {
        Optional<EvaluationSet> set = task.examples();
        if (set.isEmpty()) {
            return Optional.empty();
        }
        Optional<EvaluationDocuments> found = data.find(set.get());
        if (found.isEmpty() && !options.fewShotFromMeasured()) {
            try {
                return Optional.of(data.require(set.get()));
            } catch (BadDatasetException e) {
                throw new BadDatasetException(
                        e.getMessage() + "; or measure with --num-fewshot 0, or with --fewshot-from measured,"
                                + " which draws " + task.id() + "'s examples from the measured documents");
            }
        }
        return found;
    }

    private PreparedTask prepare(
            Task task,
            String name,
            EvaluationDocuments source,
            List<EvaluationDocument> documents,
            Optional<EvaluationDocuments> examples,
            int shots) {
        boolean fromMeasured = examples.isEmpty();
        List<EvaluationDocument> pool =
                fromMeasured ? documents : examples.get().documents();
        int needed = shots == 0 ? 0 : task == Task.MMLU ? 1 : shots + 1;
        if (pool.size() < needed) {
            throw new BadDatasetException("%s: %d examples asked, only %d to draw from; give a smaller --num-fewshot"
                    .formatted(name, shots, pool.size()));
        }
        FewShot fewShot = new FewShot(options.preset(), task, shots, pool.size(), fromMeasured);
        Prompts prompts = new Prompts(task, options.preset());
        List<PreparedTask.Item> items = new ArrayList<>();
        for (FewShot.Turn turn : fewShot.turns(documents.size(), options.limit())) {
            EvaluationDocument document = documents.get(turn.document());
            Ask ask = prompts.ask(document, turn.shots().stream().map(pool::get).toList());
            items.add(new PreparedTask.Item(turn.document(), document, turn.shots(), ask));
        }
        TaskRecipe recipe = recipe(task, source, documents.size(), examples, shots);
        return new PreparedTask(
                name, task == Task.MMLU ? task.id() : null, new WrittenRules(task, options.preset()), recipe, items);
    }

    private TaskRecipe recipe(
            Task task, EvaluationDocuments source, int documents, Optional<EvaluationDocuments> examples, int shots) {
        boolean measured = shots > 0 && examples.isEmpty();
        DatasetPart part = new DatasetPart(
                source.set().title(),
                source.source(),
                source.sha256(),
                documents,
                source.whole() ? null : source.set().published());
        String from = shots == 0 ? "none" : examples.map(e -> e.set().title()).orElse("measured");
        return new TaskRecipe(
                options.preset().id(),
                part,
                shots,
                from,
                options.preset().seed(),
                options.bos(),
                contextTokens,
                deviations(task, source, shots, measured));
    }

    private List<String> deviations(Task task, EvaluationDocuments source, int shots, boolean measured) {
        List<String> deviations = new ArrayList<>();
        int usual = task.shots(options.preset());
        if (shots != usual) {
            deviations.add(shots + " examples instead of " + usual);
        }
        if (measured && task.examples().isPresent()) {
            deviations.add("examples drawn from the measured documents instead of "
                    + task.examples().get().title());
        }
        if (!source.whole()) {
            deviations.add("only " + source.documents().size() + " of the "
                    + source.set().published() + " documents of " + source.set().title());
        }
        if (options.limit().isPresent()) {
            deviations.add("at most " + options.limit().getAsInt() + " documents");
        }
        if (options.bos()) {
            deviations.add("a BOS id before every request");
        }
        return deviations;
    }
}
