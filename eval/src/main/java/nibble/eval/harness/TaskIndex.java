package nibble.eval.harness;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import nibble.datasets.BadDatasetException;
import nibble.files.NearNames;
import org.jspecify.annotations.Nullable;

/** Finds tasks, groups and tags by their names. A file of a later folder takes the place of one with the same name. */
final class TaskIndex {
    private static final Set<String> OF_GROUPS =
            Set.of("group", "group_alias", "task", "aggregate_metric_list", "metadata", "tag");
    private static final int MOST_LEVELS = 20;

    /** A file's task or group, or the tasks of a tag. */
    private record Entry(
            TaskFiles files, String file, Map<String, @Nullable Object> values, boolean isGroup, Set<String> tagged) {
        boolean isTag() {
            return !tagged.isEmpty();
        }
    }

    /**
     * What was asked for.
     *
     * @param tasks by name, each once
     * @param groups by name, those below others after them
     */
    record Selection(Map<String, TaskConfig> tasks, Map<String, TaskGroup> groups) {}

    private final Map<String, Entry> entries = new LinkedHashMap<>();
    private final List<String> unreadable = new ArrayList<>();

    TaskIndex(List<TaskFiles> folders) {
        folders.forEach(this::add);
    }

    private void add(TaskFiles files) {
        Map<String, Entry> own = new LinkedHashMap<>();
        for (String file : files.names()) {
            Map<String, @Nullable Object> values;
            try {
                values = files.read(file);
            } catch (BadDatasetException e) {
                unreadable.add(e.getMessage());
                continue;
            }
            Object group = values.get("group");
            Object name = group == null ? values.get("task") : group;
            if (name == null || name instanceof List<?>) {
                continue;
            }
            boolean isNew =
                    own.putIfAbsent(name.toString(), new Entry(files, file, values, group != null, Set.of())) == null;
            if (isNew && group == null) {
                for (String tag : TaskFiles.texts(values.get("tag"))) {
                    Entry before = own.get(tag);
                    Set<String> tagged = new TreeSet<>(before == null ? Set.of() : before.tagged);
                    tagged.add(name.toString());
                    if (before == null || before.isTag()) {
                        own.put(tag, new Entry(files, file, Map.of(), false, tagged));
                    }
                }
            }
        }
        entries.putAll(own);
    }

    /** Names of everything, sorted. */
    List<String> names() {
        return entries.keySet().stream().sorted().toList();
    }

    /**
     * Selects by names, which may have {@code *} and {@code ?}.
     *
     * @throws BadDatasetException if a name is unknown, or a file asks for what Nibble does not do
     */
    Selection select(List<String> asked) {
        Selection selection = new Selection(new LinkedHashMap<>(), new LinkedHashMap<>());
        for (String name : asked) {
            if (name.contains("*") || name.contains("?")) {
                Pattern pattern = Pattern.compile(
                        Pattern.quote(name).replace("*", "\\E.*\\Q").replace("?", "\\E.\\Q"));
                List<String> matching = names().stream()
                        .filter(one -> pattern.matcher(one).matches())
                        .toList();
                if (matching.isEmpty()) {
                    throw unknown(name);
                }
                matching.forEach(one -> build(one, Map.of(), selection, 0));
            } else {
                build(name, Map.of(), selection, 0);
            }
        }
        return selection;
    }

    private UnknownTaskException unknown(String name) {
        List<String> nearest = NearNames.of(name, entries.keySet());
        String damaged = unreadable.isEmpty()
                ? ""
                : "; " + unreadable.size() + " files could not be read: " + unreadable.getFirst();
        return new UnknownTaskException(name + ": no such task; the nearest are " + String.join(", ", nearest)
                + ". Other tasks of lm-evaluation-harness need --include-path with its folder lm_eval/tasks"
                + damaged);
    }

    /** Adds what a name stands for; returns the names of tasks and groups that it is. */
    private List<String> build(String name, Map<String, ?> overrides, Selection to, int depth) {
        Entry entry = entries.get(name);
        if (entry == null) {
            throw unknown(name);
        }
        if (depth > MOST_LEVELS) {
            throw new BadDatasetException(
                    "group " + name + ": groups within groups more than " + MOST_LEVELS + " deep");
        }
        if (entry.isTag()) {
            return entry.tagged.stream()
                    .flatMap(one -> build(one, overrides, to, depth + 1).stream())
                    .toList();
        }
        Map<String, @Nullable Object> values = new LinkedHashMap<>(entry.values);
        if (entry.isGroup) {
            group(name, entry, values, overrides, to, depth);
            return List.of(name);
        }
        values.putAll(overrides);
        values.put("task", name);
        to.tasks.putIfAbsent(name, config(entry, values));
        return List.of(name);
    }

    private static TaskConfig config(Entry entry, Map<String, @Nullable Object> values) {
        List.of("tag", "group", "task_list").forEach(values::remove);
        return new TaskConfig(values, entry.files.place(entry.file), entry.files.folder(entry.file));
    }

    private void group(
            String name,
            Entry entry,
            Map<String, @Nullable Object> values,
            Map<String, ?> overrides,
            Selection to,
            int depth) {
        Map<String, @Nullable Object> forMembers = new LinkedHashMap<>();
        values.forEach((key, value) -> {
            if (!OF_GROUPS.contains(key)) {
                forMembers.put(key, value);
            }
        });
        forMembers.putAll(overrides);
        // Groups are listed before what they hold.
        to.groups.putIfAbsent(name, new TaskGroup(name, name, List.of(), List.of(), List.of(), "N/A"));
        List<String> members = new ArrayList<>();
        if (values.get("task") instanceof List<?> list) {
            for (Object member : list) {
                members.addAll(member(name, entry, member, forMembers, to, depth));
            }
        }
        List<String> tasks = members.stream()
                .flatMap(member -> Optional.ofNullable(to.groups.get(member))
                        .map(group -> group.tasks().stream())
                        .orElse(Stream.of(member)))
                .distinct()
                .toList();
        Object alias = values.get("group_alias");
        Object version = values.get("metadata") instanceof Map<?, ?> metadata ? metadata.get("version") : null;
        to.groups.put(
                name,
                new TaskGroup(
                        name,
                        alias == null ? name : alias.toString(),
                        members,
                        tasks,
                        averages(entry, values),
                        version == null ? "N/A" : version));
    }

    /** A name, a task with other values, or a group with members of its own. */
    private List<String> member(
            String group,
            Entry entry,
            Object member,
            Map<String, @Nullable Object> overrides,
            Selection to,
            int depth) {
        if (!(member instanceof Map<?, ?> map)) {
            return build(String.valueOf(member), overrides, to, depth + 1);
        }
        Map<String, @Nullable Object> own = new LinkedHashMap<>();
        map.forEach((key, value) -> own.put(String.valueOf(key), value));
        Object named = own.get("group") == null ? own.get("task") : own.get("group");
        String name = String.valueOf(named);
        Map<String, @Nullable Object> merged = new LinkedHashMap<>(overrides);
        if (own.get("group") != null) {
            own.remove("group");
            if (entries.containsKey(name)) {
                merged.putAll(own);
                return build(name, merged, to, depth + 1);
            }
            String inner = group + "::" + name;
            group(inner, entry, own, overrides, to, depth + 1);
            return List.of(inner);
        }
        merged.putAll(own);
        if (entries.containsKey(name)) {
            return build(name, merged, to, depth + 1);
        }
        String inner = group + "::" + name;
        merged.put("task", inner);
        to.tasks.putIfAbsent(inner, config(entry, merged));
        return List.of(inner);
    }

    private static List<TaskGroup.Average> averages(Entry entry, Map<String, @Nullable Object> values) {
        Object list = values.get("aggregate_metric_list");
        List<TaskGroup.Average> averages = new ArrayList<>();
        for (Object one : list == null ? List.of() : list instanceof List<?> several ? several : List.of(list)) {
            if (!(one instanceof Map<?, ?> keys) || keys.get("metric") == null) {
                throw new BadDatasetException(
                        entry.files.place(entry.file) + ": aggregate_metric_list: each entry names a metric");
            }
            Object aggregation = keys.get("aggregation");
            if (aggregation instanceof FunctionName function) {
                throw function.unknown("as an aggregation");
            }
            if (aggregation != null && !aggregation.equals("mean")) {
                throw new BadDatasetException(entry.files.place(entry.file) + ": aggregation " + aggregation
                        + " of a group; only mean is known");
            }
            Object filters = keys.get("filter_list");
            averages.add(new TaskGroup.Average(
                    keys.get("metric").toString(),
                    filters == null ? Optional.empty() : Optional.of(TaskFiles.texts(filters)),
                    !Boolean.FALSE.equals(keys.get("weight_by_size"))));
        }
        return averages;
    }
}
