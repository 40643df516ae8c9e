package nibble.eval.harness;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Stream;
import nibble.datasets.BadDatasetException;
import nibble.datasets.PythonRandom;
import nibble.datasets.evaluation.DataSplits;
import nibble.datasets.evaluation.EvaluationData;
import nibble.eval.NonFiniteLogProbabilityException;
import nibble.eval.tasks.EvaluatedModel;
import nibble.eval.tasks.EvaluationOptions;
import nibble.eval.tasks.EvaluationResult;
import nibble.eval.tasks.GroupResult;
import nibble.eval.tasks.PreparedTask;
import nibble.eval.tasks.ResultJournal;
import nibble.eval.tasks.TaskEvaluation;
import nibble.eval.tasks.TaskProgress;
import org.jspecify.annotations.Nullable;

/** Measures a model on tasks whose rules stand in files: those that come with Nibble, and the user's. */
public final class HarnessTasks {
    private final HarnessOptions asked;
    private final EvaluationOptions options;
    private final Map<String, TaskGroup> groups;
    private final Map<String, FileTask> tasks = new LinkedHashMap<>();
    private final Map<String, PreparedTask> prepared = new LinkedHashMap<>();

    /**
     * Reads the files and the data of tasks.
     *
     * @param names of tasks, groups and tags, which may have {@code *} and {@code ?}
     * @throws BadDatasetException if a name is unknown, data cannot be had, or a file asks for what Nibble does not do
     */
    public HarnessTasks(List<String> names, HarnessOptions asked, EvaluationOptions options, EvaluationData data) {
        this.asked = asked;
        this.options = options;
        TaskIndex.Selection selection = index(asked).select(names);
        this.groups = selection.groups();
        DataSplits splits = new DataSplits(data);
        PythonRandom random = new PythonRandom(0);
        selection
                .tasks()
                .forEach((name, task) -> tasks.put(name, new FileTask(task, asked, options, splits::require, random)));
    }

    private static TaskIndex index(HarnessOptions asked) {
        return new TaskIndex(Stream.concat(
                        Stream.of(TaskFiles.bundled()),
                        asked.folder().map(folder -> new TaskFiles(Optional.of(folder))).stream())
                .toList());
    }

    /** Returns the names of all tasks, groups and tags, sorted. */
    public static List<String> names(HarnessOptions asked) {
        return index(asked).names();
    }

    /**
     * Measures.
     *
     * @param journal results of an earlier run, and where those of this one are kept
     * @throws NonFiniteLogProbabilityException if the model gives NaN or infinity
     */
    public EvaluationResult run(EvaluatedModel subject, ResultJournal journal, TaskProgress progress) {
        boolean leads = subject.tokenizer().encode("", true).length > 0;
        List<String> stops = subject.eosText().isEmpty() ? List.of() : List.of(subject.eosText());
        prepared.clear();
        ChatForm form = form(subject);
        tasks.forEach((name, task) ->
                prepared.put(name, task.prepare(group(name), subject.model().contextTokens(), leads, stops, form)));
        EvaluationResult result =
                TaskEvaluation.runPrepared(subject, List.copyOf(prepared.values()), options, journal, progress);
        return result.with(averages(result));
    }

    private ChatForm form(EvaluatedModel subject) {
        String system = asked.chat().system();
        return new ChatForm(
                asked.chat().applied() ? subject.chat() : Optional.empty(),
                system == null ? "" : system,
                asked.chat().multiturn());
    }

    /** The widest group of a task. */
    private @Nullable String group(String task) {
        return groups.values().stream()
                .filter(group ->
                        group.tasks().contains(task) && !group.averages().isEmpty())
                .findFirst()
                .map(TaskGroup::name)
                .orElse(null);
    }

    private List<GroupResult> averages(EvaluationResult result) {
        List<GroupResult> averages = new ArrayList<>();
        groups.values().forEach(group -> averages.addAll(GroupAverages.of(group, result)));
        averages.addAll(LeaderboardScores.of(result));
        return averages;
    }

    /** Returns everything about tasks that determines the results of a run, by name. */
    public Map<String, String> description() {
        Map<String, String> job = new LinkedHashMap<>();
        tasks.forEach((name, task) -> job.put("task " + name, task.digest()));
        job.put("limit", String.valueOf(asked.limit().value()));
        job.put("seed", String.valueOf(asked.seed()));
        job.put("generation", asked.generation().toString());
        job.put("chat", asked.chat().toString());
        return job;
    }

    /** The requests of the latest run. */
    PreparedTask prepared(String task) {
        PreparedTask found = prepared.get(task);
        if (found == null) {
            throw new IllegalStateException(task + " was not run");
        }
        return found;
    }

    /** Returns how the tasks are measured where it is not as their files say. */
    public HarnessOptions asked() {
        return asked;
    }

    Map<String, TaskGroup> groups() {
        return groups;
    }

    Map<String, FileTask> tasks() {
        return tasks;
    }
}
