package nibble.eval.harness;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import nibble.datasets.BadDatasetException;
import nibble.datasets.PythonRandom;
import nibble.datasets.PythonText;
import nibble.datasets.Utf8File;
import nibble.datasets.evaluation.DataRows;
import nibble.datasets.evaluation.DataSplits;
import nibble.eval.harness.functions.PythonStr;
import nibble.eval.tasks.Ask;
import nibble.eval.tasks.DatasetPart;
import nibble.eval.tasks.EvaluationOptions;
import nibble.eval.tasks.PreparedTask;
import nibble.eval.tasks.TaskRecipe;
import org.jspecify.annotations.Nullable;

/** Makes the requests of a task from its file and its data. */
final class FileTask {
    private static final List<String> LIMITS =
            List.of("max_gen_toks", "max_new_tokens", "max_tokens", "max_completion_tokens");

    private final TaskConfig task;
    private final HarnessOptions asked;
    private final EvaluationOptions options;
    private final DataRows rows;
    private final int shots;
    private final Optional<DataRows> pool;
    private final TaskTexts texts;
    private final boolean textsAreChoices;
    private final Map<Integer, Map<String, @Nullable Object>> documents = new LinkedHashMap<>();
    private final FileRules rules;
    private final PythonRandom random;

    /**
     * @param random what functions of the tasks draw from
     * @throws BadDatasetException if data cannot be had, or the file asks for what Nibble does not do
     */
    FileTask(
            TaskConfig task,
            HarnessOptions asked,
            EvaluationOptions options,
            DataSplits.Parts data,
            PythonRandom random) {
        this.task = task;
        this.random = random;
        this.asked = asked;
        this.options = options;
        this.rows = processed(
                data.require(task.source(), task.measuredSplit()), task.values().get("process_docs"));
        this.shots = shots();
        this.pool = shots == 0 ? Optional.empty() : Optional.of(pool(data));
        this.texts = new TaskTexts(task, rows.columns());
        this.textsAreChoices = task.values().get("doc_to_choice") != null
                && texts.text(rows.rows().getFirst(), task.values().get("doc_to_text")) instanceof Long;
        for (int i = 0; i < measured(); i++) {
            documents.put(i, rows.rows().get(i));
        }
        this.rules = new FileRules(task, texts, textsAreChoices, documents);
    }

    TaskConfig config() {
        return task;
    }

    FileRules rules() {
        return rules;
    }

    Map<Integer, Map<String, @Nullable Object>> documents() {
        return documents;
    }

    TaskTexts texts() {
        return texts;
    }

    int count() {
        return rows.rows().size();
    }

    int shotsTaken() {
        return shots;
    }

    /** Tells this task from another: its file, its data, what was asked of it. */
    String digest() {
        String text = task.values() + " " + rows.sha256() + " " + shots + " "
                + pool.map(DataRows::sha256).orElse("");
        return Utf8File.sha256(text.getBytes(StandardCharsets.UTF_8));
    }

    private int measured() {
        return Math.min(rows.rows().size(), asked.limit().of(rows.rows().size()));
    }

    private int shots() {
        Optional<Integer> own = task.shots();
        int wanted = options.shots().orElse(own.orElse(0));
        boolean takesNone = own.equals(Optional.of(0)) || task.output() == TaskConfig.Output.LOGLIKELIHOOD_ROLLING;
        if (wanted > 0 && takesNone) {
            throw new BadDatasetException("--num-fewshot " + wanted + ": " + task.name()
                    + " takes no examples; leave the option out, or measure this task by itself");
        }
        return wanted;
    }

    private DataRows pool(DataSplits.Parts data) {
        Optional<String> split = task.fewshotSplit();
        if (split.isPresent()) {
            return split.get().equals(task.measuredSplit())
                    ? rows
                    : part(data, split.get(), task.ofExamples("process_docs"));
        }
        Object samples = task.map("fewshot_config").get("samples");
        if (samples instanceof FunctionName function) {
            return rows.with(PythonFunctions.samples(function));
        }
        if (samples instanceof List<?> list) {
            List<Map<String, @Nullable Object>> given = new ArrayList<>();
            for (Object one : list) {
                Map<String, @Nullable Object> row = new LinkedHashMap<>();
                if (one instanceof Map<?, ?> map) {
                    map.forEach((key, value) -> row.put(String.valueOf(key), value));
                }
                given.add(row);
            }
            return rows.with(given);
        }
        Optional<String> training = task.text("training_split").or(() -> task.text("validation_split"));
        if (training.isEmpty() || training.get().equals(task.measuredSplit())) {
            return rows;
        }
        return part(data, training.get(), task.values().get("process_docs"));
    }

    private DataRows part(DataSplits.Parts data, String split, @Nullable Object rule) {
        try {
            return processed(data.require(task.source(), split), rule);
        } catch (BadDatasetException e) {
            if (options.fewShotFromMeasured()) {
                return rows;
            }
            throw new BadDatasetException(e.getMessage() + "; or measure with --num-fewshot 0, or with --fewshot-from"
                    + " measured, which draws " + task.name() + "'s examples from the measured documents");
        }
    }

    private DataRows processed(DataRows rows, @Nullable Object rule) {
        if (!(rule instanceof FunctionName function)) {
            return rows;
        }
        return rows.with(PythonFunctions.ofRows(function).apply(rows.rows(), random));
    }

    /** Whether a document may not be an example of its own: the harness's rule, or where examples are measured ones. */
    private boolean withoutItself() {
        boolean sameSplit = task.fewshotSplit().equals(task.text("test_split"));
        return sameSplit || options.fewShotFromMeasured() && pool.isPresent() && pool.get() == rows;
    }

    PreparedTask prepare(@Nullable String group, int contextTokens, boolean leads, List<String> stops) {
        return prepare(group, contextTokens, leads, stops, ChatForm.PLAIN);
    }

    /** @param form how contexts become texts */
    PreparedTask prepare(@Nullable String group, int contextTokens, boolean leads, List<String> stops, ChatForm form) {
        List<Map<String, @Nullable Object>> examples = pool.map(DataRows::rows).orElse(List.of());
        Examples drawing = new Examples(task, examples, withoutItself(), asked.seed());
        Contexts contexts = new Contexts(task, texts, textsAreChoices, form.system());
        List<PreparedTask.Item> items = new ArrayList<>();
        documents.forEach((number, document) -> {
            List<Integer> drawn = drawing.draw(document, shots);
            boolean goesOn = contexts.goesOn(document);
            List<String> before = contexts
                    .of(document, drawn.stream().map(examples::get).toList())
                    .stream()
                    .map(context -> form.text(context, goesOn))
                    .toList();
            String delimiter = form.chat().isPresent() ? delimiterOfChat() : task.targetDelimiter();
            items.add(new PreparedTask.Item(number, document, drawn, ask(document, before, delimiter, stops)));
        });
        return new PreparedTask(task.name(), group, rules, recipe(contextTokens, leads, form), items);
    }

    /** A template sets the answer apart by itself, unless the answer has begun without white space at its end. */
    private String delimiterOfChat() {
        String prefix = task.text("gen_prefix").orElse("");
        return prefix.isEmpty() || PythonText.isSpace(prefix.charAt(prefix.length() - 1)) ? "" : task.targetDelimiter();
    }

    private Ask ask(
            Map<String, @Nullable Object> document, List<String> contexts, String delimiter, List<String> stops) {
        String context = contexts.getFirst();
        return switch (task.output()) {
            case LOGLIKELIHOOD -> new Ask.Choices(List.of(new Ask.Request(context, target(document))));
            case LOGLIKELIHOOD_ROLLING -> new Ask.Rolling(target(document));
            case MULTIPLE_CHOICE -> new Ask.Choices(choices(document, contexts, delimiter));
            case GENERATE_UNTIL -> writing(context, stops);
        };
    }

    private String target(Map<String, @Nullable Object> document) {
        return PythonStr.of(texts.target(document, task.values().get("doc_to_target")));
    }

    private List<Ask.Request> choices(Map<String, @Nullable Object> document, List<String> contexts, String delimiter) {
        List<Ask.Request> requests = new ArrayList<>();
        List<String> choices = texts.choices(document, task.values().get("doc_to_choice"));
        if (textsAreChoices) {
            String end = delimiter + target(document);
            contexts.forEach(context -> requests.add(new Ask.Request(context, end)));
        } else {
            choices.forEach(choice -> requests.add(new Ask.Request(contexts.getFirst(), delimiter + choice)));
        }
        if (rules.metrics().stream().anyMatch(metric -> metric.name().equals("acc_mutual_info"))) {
            choices.forEach(choice -> requests.add(new Ask.Request("", delimiter + choice)));
        }
        return requests;
    }

    /** What the task's file and {@code --gen-kwargs} say of writing. */
    Map<String, @Nullable Object> generation() {
        Map<String, @Nullable Object> keys = new LinkedHashMap<>(task.map("generation_kwargs"));
        if (keys.isEmpty()) {
            keys.put("temperature", 0.0);
            keys.put("do_sample", false);
            keys.put("max_gen_toks", 256L);
        }
        keys.putIfAbsent("until", List.of(task.fewshotDelimiter()));
        keys.putAll(asked.generation());
        return keys;
    }

    private Ask writing(String context, List<String> more) {
        Map<String, @Nullable Object> keys = generation();
        boolean warm = keys.get("temperature") instanceof Number warmth && warmth.doubleValue() > 0;
        if (Boolean.TRUE.equals(keys.get("do_sample")) && warm) {
            throw new BadDatasetException(task.name() + ": its file samples (do_sample true, temperature "
                    + keys.get("temperature")
                    + "), and Nibble measures with the likeliest token alone; give --gen-kwargs"
                    + " do_sample=false,temperature=0");
        }
        List<String> stops = new ArrayList<>(TaskFiles.texts(keys.get("until")));
        more.stream().filter(stop -> !stops.contains(stop)).forEach(stops::add);
        stops.removeIf(String::isEmpty);
        long most = LIMITS.stream()
                .map(keys::get)
                .filter(Long.class::isInstance)
                .map(Long.class::cast)
                .findFirst()
                .orElse(256L);
        return new Ask.Writing(context, (int) Math.min(most, 1 << 20), stops);
    }

    private TaskRecipe recipe(int contextTokens, boolean leads, ChatForm form) {
        DatasetPart part = new DatasetPart(
                task.source().path()
                        + (task.source().name().isEmpty()
                                ? ""
                                : " " + task.source().name()) + " " + task.measuredSplit(),
                rows.source(),
                rows.sha256(),
                rows.rows().size(),
                rows.published());
        String from = pool.map(rows -> rows == this.rows
                        ? "measured"
                        : task.fewshotSplit()
                                .or(() -> task.text("training_split"))
                                .orElse("given"))
                .orElse("none");
        return new TaskRecipe(
                options.preset().id(), part, shots, from, (int) asked.seed(), leads, contextTokens, deviations(form));
    }

    private List<String> deviations(ChatForm form) {
        List<String> deviations = new ArrayList<>();
        int usual = task.shots().orElse(0);
        if (shots != usual) {
            deviations.add(shots + " examples instead of " + usual);
        }
        if (documents.size() < rows.rows().size()) {
            deviations.add(
                    "only the first " + documents.size() + " of " + rows.rows().size() + " documents");
        }
        if (rows.published() != null) {
            deviations.add("only " + rows.rows().size() + " of the " + rows.published() + " published documents");
        }
        boolean usually =
                task.fewshotSplit().isPresent() || task.text("training_split").isPresent();
        if (pool.isPresent()
                && pool.get() == rows
                && usually
                && !task.fewshotSplit().equals(task.text("test_split"))) {
            deviations.add("examples drawn from the measured documents");
        }
        if (asked.seed() != options.preset().seed()) {
            deviations.add(
                    "seed " + asked.seed() + " instead of " + options.preset().seed());
        }
        form.chat()
                .ifPresent(chat -> deviations.add("chat template "
                        + chat.template().name()
                        + (shots == 0 ? "" : form.multiturn() ? ", examples as turns" : ", examples in one turn")));
        if (!form.system().isEmpty()) {
            deviations.add("a system instruction of " + PythonText.length(form.system()) + " characters");
        }
        asked.generation().forEach((key, value) -> deviations.add("--gen-kwargs " + key + "=" + value));
        return deviations;
    }
}
