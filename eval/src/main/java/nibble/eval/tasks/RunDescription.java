package nibble.eval.tasks;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import nibble.datasets.Utf8File;
import nibble.datasets.evaluation.EvaluationData;
import nibble.datasets.evaluation.EvaluationSet;
import nibble.files.Reasons;
import nibble.files.Version;

/** Describes everything that determines the results of a run, by name. A journal must match the run that resumes it. */
public final class RunDescription {
    private RunDescription() {}

    /**
     * Describes a run.
     *
     * @param model folder or file
     * @param device its kind, as {@code cpu} or {@code cuda}: results differ in their last digits
     */
    public static Map<String, String> of(
            Path model, String device, List<Task> tasks, EvaluationOptions options, EvaluationData data) {
        Map<String, String> job = new LinkedHashMap<>();
        job.put("nibble", Version.NIBBLE);
        job.put("model files", files(model));
        job.put("device", device);
        job.put("preset", options.preset().id());
        job.put("tasks", tasks.stream().map(Task::id).collect(Collectors.joining(",")));
        job.put(
                "examples",
                options.shots().isPresent() ? Integer.toString(options.shots().getAsInt()) : "preset");
        job.put(
                "limit",
                options.limit().isPresent() ? Integer.toString(options.limit().getAsInt()) : "none");
        job.put("bos", Boolean.toString(options.bos()));
        job.put("examples from", options.fewShotFromMeasured() ? "measured" : "train");
        for (Task task : tasks) {
            put(job, data, task.documents());
            task.examples().ifPresent(set -> put(job, data, set));
        }
        return job;
    }

    private static void put(Map<String, String> job, EvaluationData data, EvaluationSet set) {
        data.find(set).ifPresent(found -> job.put(set.title(), found.sha256()));
    }

    /**
     * A digest of names, sizes and times of the model's files: reading 138 GB again would take longer than to go on.
     */
    private static String files(Path model) {
        try (Stream<Path> all = Files.isDirectory(model) ? Files.list(model) : Stream.of(model)) {
            StringBuilder text = new StringBuilder();
            for (Path file : all.filter(Files::isRegularFile).sorted().toList()) {
                text.append(file.getFileName())
                        .append(' ')
                        .append(Files.size(file))
                        .append(' ')
                        .append(Files.getLastModifiedTime(file))
                        .append('\n');
            }
            return Utf8File.sha256(text.toString().getBytes(StandardCharsets.UTF_8));
        } catch (IOException e) {
            throw new UncheckedIOException(model + ": cannot be read: " + Reasons.of(e), e);
        }
    }
}
