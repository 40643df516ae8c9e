package nibble.eval.tasks;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.InputStream;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * What ids a model is given, beside what lm-eval 0.4.13 gives it ({@code eval/fixtures/record_encodings.py}): empty
 * contexts, answers as long as the model's context, texts that begin with the BOS.
 */
class RecordedEncodingsTest {
    /** Characters, and two special tokens that a text can hold. */
    private static final class Characters extends CharacterTokenizer {
        @Override
        public int[] encode(String text, boolean bos) {
            return super.encode(text.replace("<s>", "\u0001").replace("</s>", "\u0002"), bos);
        }
    }

    private static JsonNode recorded(boolean bos) throws Exception {
        try (InputStream in = RecordedEncodingsTest.class.getResourceAsStream("/nibble/eval/harness/encodings.json")) {
            return new ObjectMapper().readTree(Objects.requireNonNull(in)).get(bos ? 1 : 0);
        }
    }

    private static TokenSplit split(JsonNode recorded) {
        int context = recorded.path("context_tokens").asInt();
        return new TokenSplit(new Characters(), recorded.path("bos").asBoolean(), 1, context, "<s>");
    }

    /** What goes into the model: all ids but the last, as far as the context reaches. */
    private static List<List<Integer>> inputs(List<TokenSplit.Request> requests, int context) {
        List<List<Integer>> inputs = new ArrayList<>();
        for (TokenSplit.Request request : requests) {
            int[] ids = request.truncated(context).ids();
            inputs.add(Arrays.stream(ids, 0, ids.length - 1).boxed().toList());
        }
        return inputs;
    }

    private static List<List<Integer>> inputs(JsonNode one) {
        List<List<Integer>> inputs = new ArrayList<>();
        for (JsonNode input : one.path("inputs")) {
            List<Integer> ids = new ArrayList<>();
            input.forEach(id -> ids.add(id.asInt()));
            inputs.add(ids);
        }
        return inputs;
    }

    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void contexts_and_continuations_are_the_harness_ids_and_what_it_refuses_is_too_long_or_empty(boolean bos)
            throws Exception {
        JsonNode all = recorded(bos);
        int context = all.path("context_tokens").asInt();
        for (JsonNode one : all.path("pairs")) {
            List<TokenSplit.Request> requests = split(all)
                    .requests(List.of(new Ask.Request(
                            one.path("context").asText(),
                            one.path("continuation").asText())));
            if (one.has("error")) {
                TokenSplit.Request only = requests.getFirst();
                assertThat(only.context().length == 0 || only.continuation().length > context)
                        .as(one.toString())
                        .isTrue();
            } else {
                assertThat(inputs(requests, context)).as(one.toString()).isEqualTo(inputs(one));
            }
        }
    }

    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void windows_and_prompts_are_the_harness_ids(boolean bos) throws Exception {
        JsonNode all = recorded(bos);
        int context = all.path("context_tokens").asInt();
        for (JsonNode one : all.path("texts")) {
            assertThat(inputs(split(all).windows(one.path("text").asText()), context))
                    .as(one.toString())
                    .isEqualTo(inputs(one));
        }
        for (JsonNode one : all.path("prompts")) {
            if (!one.has("error")) {
                int[] ids = split(all)
                        .prompt(one.path("prompt").asText(), one.path("tokens").asInt());
                assertThat(List.of(Arrays.stream(ids).boxed().toList()))
                        .as(one.toString())
                        .isEqualTo(inputs(one));
            }
        }
    }
}
