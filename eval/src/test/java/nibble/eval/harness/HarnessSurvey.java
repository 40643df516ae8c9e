package nibble.eval.harness;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.BufferedReader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;

/**
 * Runs tasks of a folder on the documents that {@code eval/fixtures/survey_tasks.py} made, and counts how many give the
 * harness's requests, values and figures.
 *
 * <pre>
 * HarnessSurvey RECORDED.jsonl FOLDER
 * </pre>
 */
final class HarnessSurvey {
    private static final int SHOWN = 60;

    private HarnessSurvey() {}

    public static void main(String[] arguments) throws Exception {
        TaskIndex index = new TaskIndex(List.of(new TaskFiles(Optional.of(Path.of(arguments[1])))));
        ObjectMapper json = new ObjectMapper();
        Map<String, Integer> counts = new LinkedHashMap<>();
        Map<String, List<String>> reasons = new TreeMap<>();
        Set<String> families = new HashSet<>();
        try (BufferedReader lines = Files.newBufferedReader(Path.of(arguments[0]))) {
            for (String line = lines.readLine(); line != null; line = lines.readLine()) {
                JsonNode recorded = json.readTree(line);
                HarnessCase one = new HarnessCase(recorded);
                counts.merge("tasks that need no Python", 1, Integer::sum);
                TaskConfig config;
                try {
                    config = index.select(List.of(one.name()))
                            .tasks()
                            .values()
                            .iterator()
                            .next();
                    config.metrics();
                    config.filters().forEach(filter -> new ResponseFilter(config, filter));
                } catch (RuntimeException e) {
                    reason(reasons, "cannot be read: " + e.getMessage(), one.name());
                    continue;
                }
                counts.merge("read", 1, Integer::sum);
                if (recorded.has("fault")) {
                    reason(reasons, "the harness cannot run it on such documents", one.name());
                    continue;
                }
                counts.merge("run by the harness", 1, Integer::sum);
                families.add(config.place());
                List<String> differences;
                try {
                    differences = one.differences(one.task(config), false);
                } catch (RuntimeException e) {
                    reason(reasons, "fails: " + e, one.name());
                    continue;
                }
                counts.merge("run", 1, Integer::sum);
                counts.merge(
                        "of them with --gen-kwargs do_sample=false", HarnessCase.samples(config) ? 1 : 0, Integer::sum);
                if (differences.isEmpty()) {
                    counts.merge("equal", 1, Integer::sum);
                } else {
                    reason(reasons, "differs: " + differences.getFirst(), one.name());
                }
            }
        }
        System.out.println(counts);
        reasons.entrySet().stream()
                .sorted((a, b) -> b.getValue().size() - a.getValue().size())
                .limit(SHOWN)
                .forEach(entry -> System.out.println(entry.getValue().size() + " " + entry.getKey() + "  "
                        + entry.getValue()
                                .subList(0, Math.min(3, entry.getValue().size()))));
    }

    private static void reason(Map<String, List<String>> reasons, String reason, String task) {
        String key = reason.replaceAll("/\\S*/", "").replaceAll("[0-9]+", "#")
                + (System.getenv("EXACT") == null ? "" : reason);
        reasons.computeIfAbsent(key.length() > 700 ? key.substring(0, 700) : key, _ -> new ArrayList<>())
                .add(task);
    }
}
