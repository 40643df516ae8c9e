package nibble.cli.evaluation;

import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import nibble.cli.option.ModelChat;
import nibble.datasets.evaluation.EvaluationData;
import nibble.eval.harness.HarnessOptions;
import nibble.eval.harness.HarnessTasks;
import nibble.eval.tasks.EvaluatedModel;
import nibble.eval.tasks.EvaluationOptions;
import nibble.eval.tasks.EvaluationResult;
import nibble.eval.tasks.ResultJournal;
import nibble.eval.tasks.RunDescription;
import nibble.eval.tasks.Task;
import nibble.eval.tasks.TaskEvaluation;
import nibble.eval.tasks.TaskProgress;

/** Holds the tasks of a run, by whichever preset. */
public sealed interface AskedTasks {
    /**
     * Measures a model.
     *
     * @param journal results of an earlier run, and where those of this one are kept
     */
    EvaluationResult measure(EvaluatedModel subject, ResultJournal journal, TaskProgress progress);

    /** Returns how requests become conversations. */
    default HarnessOptions.Chat chat() {
        return HarnessOptions.Chat.NONE;
    }

    /** Refuses a model without the template that is asked for, before it is loaded. */
    default void requireChat(Path model) {
        if (chat().applied()) {
            ModelChat.format(model, chat().template(), false);
        }
    }

    /** Returns everything that determines the results, by name. */
    Map<String, String> job(Path model, String device);

    /** Measures tasks whose rules are written in Java. */
    record Written(List<Task> tasks, EvaluationOptions options, EvaluationData documents) implements AskedTasks {
        @Override
        public EvaluationResult measure(EvaluatedModel subject, ResultJournal journal, TaskProgress progress) {
            return TaskEvaluation.run(subject, tasks, options, documents, journal, progress);
        }

        @Override
        public Map<String, String> job(Path model, String device) {
            return RunDescription.of(model, device, tasks, options, documents);
        }
    }

    /** Measures tasks whose rules stand in files. */
    record OfFiles(HarnessTasks tasks, EvaluationOptions options, EvaluationData documents) implements AskedTasks {
        @Override
        public EvaluationResult measure(EvaluatedModel subject, ResultJournal journal, TaskProgress progress) {
            return tasks.run(subject, journal, progress);
        }

        @Override
        public HarnessOptions.Chat chat() {
            return tasks.asked().chat();
        }

        @Override
        public Map<String, String> job(Path model, String device) {
            Map<String, String> job = RunDescription.of(model, device, List.of(), options, documents);
            job.putAll(tasks.description());
            return job;
        }
    }
}
