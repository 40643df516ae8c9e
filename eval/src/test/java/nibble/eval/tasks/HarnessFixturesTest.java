package nibble.eval.tasks;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.OptionalInt;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import java.util.zip.GZIPInputStream;
import nibble.checkpoint.Checkpoint;
import nibble.datasets.Tokenizer;
import nibble.datasets.Tokenizers;
import nibble.datasets.Utf8File;
import nibble.datasets.evaluation.EvaluationData;
import nibble.datasets.evaluation.EvaluationDocument;
import nibble.datasets.evaluation.EvaluationDocument.MultipleChoice;
import nibble.engine.Backends;
import nibble.engine.Llama;
import nibble.engine.backend.Backend;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * Texts, ids, examples, log-likelihoods and figures against an independent implementation in Python
 * ({@code eval/fixtures}), with the bundled wiki-7m. Texts and ids of all 50 documents of a task are compared, scores
 * of the first few: all of them with
 * {@code -Dnibble.fixtures.scored=50}, which takes minutes.
 */
class HarnessFixturesTest {
    private static final double LOG_LIKELIHOOD_TOLERANCE = 1e-3;
    private static final int SCORED = Integer.getInteger("nibble.fixtures.scored", 4);
    private static final Path MODEL = Path.of(System.getProperty("nibble.root"), "models", "wiki-7m");

    private static Checkpoint checkpoint;
    private static Tokenizer tokenizer;
    private static Backend backend;
    private static Llama model;

    @BeforeAll
    static void open() {
        checkpoint = Checkpoint.open(MODEL);
        tokenizer = Tokenizers.open(MODEL);
        backend = Backends.open("cpu", 2);
        model = Llama.load(checkpoint, backend);
    }

    @AfterAll
    static void close() {
        model.close();
        backend.close();
        tokenizer.close();
        checkpoint.close();
    }

    static Stream<String> fixtures() {
        return Arrays.stream(Preset.values())
                .flatMap(preset -> Arrays.stream(Task.values()).map(task -> preset.id() + "." + task.id()))
                .filter(name -> HarnessFixturesTest.class.getResource(resource(name)) != null);
    }

    private static String resource(String name) {
        return "/nibble/eval/fixtures/" + name + ".json.gz";
    }

    @ParameterizedTest
    @MethodSource("fixtures")
    void texts_ids_examples_and_scores_are_those_of_the_independent_implementation(String name) throws Exception {
        JsonNode fixture = read(name);
        Preset preset = Preset.named(fixture.get("preset").textValue()).orElseThrow();
        Task task = Task.named(fixture.get("task").textValue()).orElseThrow();

        List<PreparedTask> prepared = prepared(preset, task, fixture);

        Iterator<JsonNode> expected = fixture.get("documents").iterator();
        int firstRow = 0;
        int firstExample = 0;
        for (PreparedTask one : prepared) {
            for (PreparedTask.Item item : one.items()) {
                JsonNode next = expected.next();
                // Subjects of mmlu are numbered by themselves here, through the whole file there.
                assertThat(item.number() + firstRow).isEqualTo(next.get("index").intValue());
                int before = firstExample;
                assertThat(item.shots().stream().map(shot -> shot + before))
                        .as("examples of document %d", item.number())
                        .containsExactlyElementsOf(integers(next.get("shots")));
                compareTexts(preset, item, next);
            }
            firstRow += one.recipe().dataset().documents();
            firstExample += one.recipe().fewshot();
        }
        assertThat(expected.hasNext()).isFalse();
        compareScores(preset, task, prepared, fixture);
    }

    private static JsonNode read(String name) throws IOException {
        try (InputStream in = HarnessFixturesTest.class.getResourceAsStream(resource(name));
                GZIPInputStream unpacked = new GZIPInputStream(in)) {
            return new ObjectMapper().readTree(unpacked);
        }
    }

    /** The fixture's documents in its order; for mmlu a task for each subject, of one document. */
    private static List<PreparedTask> prepared(Preset preset, Task task, JsonNode fixture) {
        List<EvaluationDocument> rows =
                EvaluationData.bundled().require(task.documents()).documents();
        JsonNode range = fixture.get("document_rows");
        List<EvaluationDocument> documents =
                rows.subList(range.get(0).intValue(), range.get(1).intValue());
        JsonNode exampleRange = fixture.path("example_rows");
        List<EvaluationDocument> examples = List.of();
        if (!exampleRange.isMissingNode()) {
            List<EvaluationDocument> source = task.examples()
                    .flatMap(set -> EvaluationData.bundled().find(set))
                    .map(found -> found.documents())
                    .orElse(rows);
            examples = source.subList(
                    exampleRange.get(0).intValue(), exampleRange.get(1).intValue());
        }
        int shots = fixture.get("num_fewshot").intValue();
        if (task != Task.MMLU) {
            int count = fixture.get("documents").size();
            return List.of(prepared(preset, task, task.id(), documents, examples, shots, count));
        }
        List<PreparedTask> subjects = new ArrayList<>();
        for (String subject :
                documents.stream().map(HarnessFixturesTest::subject).distinct().toList()) {
            subjects.add(
                    prepared(preset, task, "mmlu_" + subject, of(subject, documents), of(subject, examples), shots, 1));
        }
        return subjects;
    }

    private static String subject(EvaluationDocument document) {
        return ((MultipleChoice) document).subject();
    }

    private static List<EvaluationDocument> of(String subject, List<EvaluationDocument> documents) {
        return documents.stream().filter(d -> subject(d).equals(subject)).toList();
    }

    private static PreparedTask prepared(
            Preset preset,
            Task task,
            String name,
            List<EvaluationDocument> documents,
            List<EvaluationDocument> examples,
            int shots,
            int count) {
        Prompts prompts = new Prompts(task, preset);
        List<PreparedTask.Item> items = new FewShot(preset, task, shots, examples.size(), false)
                .turns(documents.size(), OptionalInt.of(count)).stream()
                        .map(turn -> new PreparedTask.Item(
                                turn.document(),
                                documents.get(turn.document()),
                                turn.shots(),
                                prompts.ask(
                                        documents.get(turn.document()),
                                        turn.shots().stream().map(examples::get).toList())))
                        .toList();
        TaskRecipe recipe = new TaskRecipe(
                preset.id(),
                new DatasetPart(name, "bundled", "", documents.size(), null),
                shots,
                "",
                preset.seed(),
                false,
                4096,
                List.of());
        return new PreparedTask(name, task == Task.MMLU ? "mmlu" : null, new WrittenRules(task, preset), recipe, items);
    }

    private static TokenSplit split(Preset preset) {
        return new TokenSplit(tokenizer, false, preset == Preset.LEADERBOARD_V1 ? 2 : 1, model.contextTokens());
    }

    private static void compareTexts(Preset preset, PreparedTask.Item item, JsonNode expected) {
        JsonNode requests = expected.get("requests");
        switch (item.ask()) {
            case Ask.Choices(List<Ask.Request> texts) -> {
                List<TokenSplit.Request> ids = split(preset).requests(texts);
                assertThat(texts).hasSize(requests.size());
                for (int i = 0; i < texts.size(); i++) {
                    JsonNode r = requests.get(i);
                    assertThat(hash(texts.get(i).context()))
                            .as(texts.get(i).context())
                            .isEqualTo(r.get("context_sha256").textValue());
                    assertThat(hash(texts.get(i).continuation()))
                            .isEqualTo(r.get("continuation_sha256").textValue());
                    assertThat(ids.get(i).context())
                            .hasSize(r.get("context_tokens").intValue());
                    assertThat(hash(ids.get(i).context()))
                            .isEqualTo(r.get("context_ids_sha256").textValue());
                    JsonNode continuation = r.get("continuation_ids");
                    if (continuation.isArray()) {
                        assertThat(ids.get(i).continuation())
                                .containsExactly(integers(continuation).stream()
                                        .mapToInt(Integer::intValue)
                                        .toArray());
                    } else {
                        assertThat(hash(ids.get(i).continuation())).isEqualTo(continuation.textValue());
                    }
                    assertThat(ids.get(i).excess(model.contextTokens()))
                            .isEqualTo(r.get("truncated").intValue());
                }
            }
            case Ask.Rolling(String text) -> {
                JsonNode r = requests.get(0);
                assertThat(hash(text)).isEqualTo(r.get("text_sha256").textValue());
                assertThat(hash(tokenizer.encode(text, false)))
                        .isEqualTo(r.get("ids_sha256").textValue());
                assertThat(split(preset).windows(text)).hasSize(r.get("windows").intValue());
            }
            case Ask.Writing writing -> {
                JsonNode r = requests.get(0);
                assertThat(hash(writing.prompt()))
                        .isEqualTo(r.get("context_sha256").textValue());
                assertThat(hash(tokenizer.encode(writing.prompt(), false)))
                        .isEqualTo(r.get("ids_sha256").textValue());
            }
        }
    }

    private static void compareScores(Preset preset, Task task, List<PreparedTask> prepared, JsonNode fixture) {
        List<JsonNode> documents = new ArrayList<>();
        fixture.get("documents").forEach(documents::add);
        int wanted = task == Task.GSM8K || task == Task.WIKITEXT ? Math.max(1, SCORED / 4) : SCORED;
        boolean all = wanted >= documents.size();
        List<PreparedTask> few = task == Task.MMLU
                ? prepared.subList(0, Math.min(wanted, prepared.size()))
                : List.of(new PreparedTask(
                        task.id(),
                        null,
                        new WrittenRules(task, preset),
                        prepared.getFirst().recipe(),
                        prepared.getFirst().items().subList(0, Math.min(wanted, documents.size()))));
        EvaluatedModel subject = new EvaluatedModel("wiki-7m", "cpu", model, tokenizer, 1, 2, Set.of(2));

        EvaluationResult result = TaskEvaluation.runPrepared(
                subject, few, EvaluationOptions.of(preset), ResultJournal.none(), TaskProgress.NONE);

        Map<String, JsonNode> byNumber = new java.util.HashMap<>();
        for (int i = 0, at = 0; i < few.size(); i++) {
            for (PreparedTask.Item item : few.get(i).items()) {
                byNumber.put(few.get(i).name() + "/" + item.number(), documents.get(at++));
            }
        }
        for (TaskResult one : result.tasks()) {
            for (DocumentResult found : one.documents()) {
                compareScores(task, found, byNumber.get(one.task() + "/" + found.document()));
            }
        }
        if (all && task != Task.MMLU) {
            compareFigures(result.tasks().getFirst(), fixture.get("metrics"));
        }
    }

    private static void compareScores(Task task, DocumentResult found, JsonNode expected) {
        JsonNode requests = expected.get("requests");
        for (int i = 0; i < found.requests().size(); i++) {
            RequestResult request = found.requests().get(i);
            double reference = requests.get(i).get("log_likelihood").doubleValue();
            // A page of wikitext is a sum over thousands of ids, not of one request.
            double tolerance = task == Task.WIKITEXT ? 1e-6 * Math.abs(reference) : 0;
            assertThat(request.logLikelihood())
                    .as("document %d, request %d", found.document(), i)
                    .isCloseTo(reference, within(LOG_LIKELIHOOD_TOLERANCE + tolerance));
            if (requests.get(i).has("greedy")) {
                assertThat(request.greedy())
                        .isEqualTo(requests.get(i).get("greedy").booleanValue());
            }
        }
        if (found.text() != null) {
            assertThat(found.text()).isEqualTo(requests.get(0).get("text").textValue());
        }
        JsonNode scores = expected.get("scores");
        found.metrics().forEach((metric, value) -> {
            String name = named(metric);
            assertThat(scores.has(name)).as("%s in %s", name, scores).isTrue();
            assertThat(value)
                    .as("%s of document %d", metric, found.document())
                    .isCloseTo(scores.get(name).doubleValue(), within(1e-3));
        });
    }

    private static String named(String metric) {
        return switch (metric) {
            case "exact_match_strict" -> "exact_match,strict-match";
            case "exact_match_flexible" -> "exact_match,flexible-extract";
            case "perplexity" -> "log_likelihood";
            default -> metric;
        };
    }

    private static void compareFigures(TaskResult found, JsonNode expected) {
        for (MetricValue m : found.metrics()) {
            String name = m.metric().equals("perplexity") ? m.metric() : named(m.metric());
            double reference = expected.get(name).doubleValue();
            assertThat(m.value()).as(m.metric()).isCloseTo(reference, within(1e-3 * Math.max(1, reference)));
            if (m.stderr() != null && expected.has(name + "_stderr")) {
                assertThat(m.stderr())
                        .as(m.metric() + "_stderr")
                        .isCloseTo(expected.get(name + "_stderr").doubleValue(), within(1e-3));
            }
        }
    }

    private static List<Integer> integers(JsonNode array) {
        List<Integer> values = new ArrayList<>();
        array.forEach(value -> values.add(value.intValue()));
        return values;
    }

    private static String hash(String text) {
        return Utf8File.sha256(text.getBytes(StandardCharsets.UTF_8)).substring(0, 16);
    }

    private static String hash(int[] ids) {
        return hash(Arrays.stream(ids).mapToObj(Integer::toString).collect(Collectors.joining(",")));
    }
}
