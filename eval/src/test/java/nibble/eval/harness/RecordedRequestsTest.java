package nibble.eval.harness;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.OptionalInt;
import java.util.stream.Collectors;
import nibble.datasets.Utf8File;
import nibble.datasets.evaluation.EvaluationData;
import nibble.eval.tasks.Ask;
import nibble.eval.tasks.EvaluationOptions;
import nibble.eval.tasks.PreparedTask;
import nibble.eval.tasks.Preset;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * Requests of the built-in tasks beside those that lm-eval 0.4.13 makes of its own files:
 * {@code eval/fixtures/compare_requests.py} recorded SHA-256 of them.
 */
class RecordedRequestsTest {
    @ParameterizedTest
    @ValueSource(ints = {0, 3})
    void requests_are_those_of_the_harness(int shots) throws Exception {
        JsonNode recorded;
        try (InputStream in = RecordedRequestsTest.class.getResourceAsStream("requests." + shots + "-shot.json")) {
            recorded = new ObjectMapper().readTree(Objects.requireNonNull(in));
        }
        List<String> names = new ArrayList<>();
        recorded.fieldNames().forEachRemaining(names::add);
        EvaluationOptions options = new EvaluationOptions(
                Preset.LM_EVAL_0_4_13, OptionalInt.of(shots), OptionalInt.empty(), false, false, true);
        HarnessOptions asked = new HarnessOptions(
                HarnessOptions.usual().folder(), new HarnessOptions.Limit(3), HarnessOptions.SEED, Map.of());

        HarnessTasks tasks = new HarnessTasks(names, asked, options, EvaluationData.bundled());

        assertThat(tasks.tasks().keySet()).containsExactlyElementsOf(names);
        for (String name : names) {
            FileTask task = Objects.requireNonNull(tasks.tasks().get(name));
            List<String> found = task.prepare(null, 4096, false, List.of()).items().stream()
                    .map(PreparedTask.Item::ask)
                    .map(RecordedRequestsTest::hash)
                    .toList();
            List<String> expected = new ArrayList<>();
            recorded.get(name).forEach(hash -> expected.add(hash.textValue()));
            assertThat(found).as(name).containsExactlyElementsOf(expected);
        }
    }

    private static String hash(Ask ask) {
        String text = switch (ask) {
            case Ask.Choices(List<Ask.Request> requests) ->
                requests.stream()
                        .map(request -> request.context() + "\u0001" + request.continuation())
                        .collect(Collectors.joining("\u0002"));
            case Ask.Rolling(String rolled) -> rolled;
            case Ask.Writing writing -> writing.prompt();
        };
        return Utf8File.sha256(text.getBytes(StandardCharsets.UTF_8));
    }
}
