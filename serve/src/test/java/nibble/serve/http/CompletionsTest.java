package nibble.serve.http;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import com.fasterxml.jackson.databind.JsonNode;
import java.net.http.HttpResponse;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Answers of /v1/completions: shapes are those of vLLM 0.32 and of OpenAI's reference. */
class CompletionsTest {
    private static final String PATH = "/v1/completions";

    @SuppressWarnings("NullAway.Init")
    private static TestServer server;

    @BeforeAll
    static void start() {
        server = new TestServer();
    }

    @AfterAll
    static void stop() {
        server.close();
        assertThat(server.log).isEmpty();
    }

    @Test
    void an_answer_has_the_fields_that_clients_read() throws Exception {
        JsonNode body =
                server.answer(PATH, "{'model': 'wiki', 'prompt': 'The city of', 'max_tokens': 8, 'temperature': 0}");
        assertThat(body.get("id").asText()).startsWith("cmpl-");
        assertThat(body.get("object").asText()).isEqualTo("text_completion");
        assertThat(body.get("created").asLong()).isGreaterThan(1_700_000_000);
        assertThat(body.get("model").asText()).isEqualTo("wiki");
        JsonNode choice = body.get("choices").get(0);
        assertThat(choice.get("index").asInt()).isZero();
        assertThat(choice.get("text").asText()).startsWith(" ");
        assertThat(choice.get("logprobs").isNull()).isTrue();
        assertThat(choice.get("finish_reason").asText()).isEqualTo("length");
        assertThat(choice.get("stop_reason").isNull()).isTrue();
        JsonNode usage = body.get("usage");
        assertThat(usage.get("prompt_tokens").asInt()).isEqualTo(4);
        assertThat(usage.get("completion_tokens").asInt()).isEqualTo(8);
        assertThat(usage.get("total_tokens").asInt()).isEqualTo(12);
        assertThat(usage.at("/prompt_tokens_details/cached_tokens").asInt()).isZero();
    }

    @Test
    void sixteen_tokens_are_made_unless_told_and_the_model_need_not_be_named() throws Exception {
        JsonNode body = server.answer(PATH, "{'prompt': 'The city of', 'temperature': 0, 'foo': 'bar', 'user': 'u'}");
        assertThat(body.at("/usage/completion_tokens").asInt()).isEqualTo(16);
    }

    @Test
    void the_alias_answers_under_the_first_name() throws Exception {
        JsonNode body = server.answer(PATH, "{'model': 'wiki-alias', 'prompt': 'a', 'max_tokens': 1}");
        assertThat(body.get("model").asText()).isEqualTo("wiki");
    }

    @Test
    void echo_without_new_tokens_scores_the_prompt_as_lm_evaluation_harness_asks() throws Exception {
        JsonNode body = server.answer(
                PATH, "{'prompt': 'The city of', 'max_tokens': 0, 'temperature': 0, 'echo': true, 'logprobs': 1}");
        JsonNode choice = body.get("choices").get(0);
        assertThat(choice.get("text").asText()).isEqualTo("The city of");
        JsonNode logprobs = choice.get("logprobs");
        assertThat(strings(logprobs.get("tokens"))).containsExactly("<s>", " The", " city", " of");
        assertThat(strings(logprobs.get("text_offset"))).containsExactly("0", "3", "7", "12");
        assertThat(logprobs.get("token_logprobs").get(0).isNull()).isTrue();
        assertThat(logprobs.get("top_logprobs").get(0).isNull()).isTrue();
        for (int i = 1; i < 4; i++) {
            double own = logprobs.get("token_logprobs").get(i).asDouble();
            JsonNode top = logprobs.get("top_logprobs").get(i);
            assertThat(own).isNegative();
            assertThat(top.get(logprobs.get("tokens").get(i).asText()).asDouble())
                    .isEqualTo(own);
            // The token itself, and the likeliest one where that is another.
            assertThat(top.size()).isBetween(1, 2);
        }
        assertThat(body.at("/usage/completion_tokens").asInt()).isZero();
        assertThat(choice.get("finish_reason").asText()).isEqualTo("length");
    }

    @Test
    void ids_as_prompt_are_echoed_with_their_special_tokens() throws Exception {
        JsonNode choice = server.answer(
                        PATH,
                        "{'prompt': [[1, 320, 2000, 310]], 'max_tokens': 1, 'temperature': 0, 'echo': true,"
                                + " 'logprobs': 1}")
                .get("choices")
                .get(0);
        JsonNode logprobs = choice.get("logprobs");
        String name = logprobs.get("tokens").get(1).asText();
        assertThat(choice.get("text").asText()).startsWith("<s>" + name);
        assertThat(logprobs.get("tokens")).hasSize(5);
        assertThat(logprobs.get("token_logprobs")).hasSize(5);
        assertThat(String.join("", strings(logprobs.get("tokens"))))
                .isEqualTo(choice.get("text").asText());
    }

    @Test
    void the_same_prompt_as_text_and_as_ids_gets_the_same_answer() throws Exception {
        int[] ids = server.tokenizer.encode("The city of", true);
        String text = server.answer(PATH, "{'prompt': 'The city of', 'max_tokens': 8, 'temperature': 0}")
                .at("/choices/0/text")
                .asText();
        JsonNode two = server.answer(
                PATH,
                "{'prompt': [%s, %s], 'max_tokens': 8, 'temperature': 0}"
                        .formatted(java.util.Arrays.toString(ids), java.util.Arrays.toString(ids)));
        assertThat(two.at("/choices/0/text").asText()).isEqualTo(text);
        assertThat(two.at("/choices/1/text").asText()).isEqualTo(text);
        assertThat(two.at("/choices/1/index").asInt()).isEqualTo(1);
        assertThat(two.at("/usage/prompt_tokens").asInt()).isEqualTo(2 * ids.length);
    }

    @Test
    void log_probabilities_of_new_tokens_begin_at_offset_zero() throws Exception {
        JsonNode choice = server.answer(
                        PATH, "{'prompt': 'The city of', 'max_tokens': 6, 'temperature': 0, 'logprobs': 2}")
                .at("/choices/0");
        JsonNode logprobs = choice.get("logprobs");
        int offset = 0;
        for (int i = 0; i < 6; i++) {
            assertThat(logprobs.get("text_offset").get(i).asInt()).isEqualTo(offset);
            offset += logprobs.get("tokens").get(i).asText().length();
            assertThat(logprobs.get("top_logprobs").get(i)).hasSize(2);
            // Greedy: the token is the likeliest one.
            assertThat(logprobs.get("top_logprobs").get(i).elements().next().asDouble())
                    .isEqualTo(logprobs.get("token_logprobs").get(i).asDouble());
        }
        assertThat(offset).isEqualTo(choice.get("text").asText().length());
    }

    @Test
    void prompt_log_probabilities_name_ids_ranks_and_texts() throws Exception {
        JsonNode list = server.answer(PATH, "{'prompt': 'The city of', 'max_tokens': 1, 'prompt_logprobs': 1}")
                .at("/choices/0/prompt_logprobs");
        assertThat(list).hasSize(4);
        assertThat(list.get(0).isNull()).isTrue();
        int of = server.tokenizer.encode("The city of", true)[3];
        JsonNode own = list.get(3).get(Integer.toString(of));
        assertThat(own.get("decoded_token").asText()).isEqualTo(" of");
        assertThat(own.get("rank").asInt()).isPositive();
        assertThat(own.get("logprob").asDouble()).isNegative();
    }

    @Test
    void a_stream_joins_to_the_whole_text_and_ends_with_its_reason() throws Exception {
        String request = "{'prompt': 'The city of', 'max_tokens': 12, 'temperature': 0%s}";
        JsonNode whole = server.answer(PATH, request.formatted(""));
        List<JsonNode> pieces = server.pieces(PATH, request.formatted(", 'stream': true"));
        StringBuilder text = new StringBuilder();
        for (JsonNode piece : pieces) {
            assertThat(piece.get("object").asText()).isEqualTo("text_completion");
            assertThat(piece.get("id")).isEqualTo(pieces.getFirst().get("id"));
            assertThat(piece.has("usage")).isFalse();
            text.append(piece.at("/choices/0/text").asText());
        }
        assertThat(text.toString()).isEqualTo(whole.at("/choices/0/text").asText());
        assertThat(pieces.getLast().at("/choices/0/finish_reason").asText()).isEqualTo("length");
        assertThat(pieces.getFirst().at("/choices/0/finish_reason").isNull()).isTrue();
    }

    @Test
    void the_usage_of_a_stream_comes_last_only_when_asked_and_is_null_before() throws Exception {
        List<JsonNode> pieces = server.pieces(
                PATH,
                "{'prompt': 'The city of', 'max_tokens': 3, 'stream': true, 'stream_options': {'include_usage':"
                        + " true}}");
        JsonNode last = pieces.removeLast();
        assertThat(last.get("choices")).isEmpty();
        assertThat(last.at("/usage/total_tokens").asInt()).isEqualTo(7);
        assertThat(pieces)
                .allSatisfy(piece -> assertThat(piece.get("usage").isNull()).isTrue());
    }

    @Test
    void continuous_usage_counts_up() throws Exception {
        List<JsonNode> pieces = server.pieces(
                PATH,
                "{'prompt': 'The city of', 'max_tokens': 3, 'temperature': 0, 'stream': true, 'stream_options':"
                        + " {'include_usage': true, 'continuous_usage_stats': true}}");
        assertThat(pieces.getFirst().at("/usage/completion_tokens").asInt()).isEqualTo(1);
        assertThat(pieces.getLast().at("/usage/completion_tokens").asInt()).isEqualTo(3);
    }

    @Test
    void a_stream_with_echo_and_log_probabilities_has_each_token_once() throws Exception {
        String request = "{'prompt': 'The city of', 'max_tokens': 4, 'temperature': 0, 'echo': true, 'logprobs': 1%s}";
        JsonNode whole = server.answer(PATH, request.formatted("")).at("/choices/0/logprobs");
        List<String> tokens = new ArrayList<>();
        List<String> offsets = new ArrayList<>();
        for (JsonNode piece : server.pieces(PATH, request.formatted(", 'stream': true"))) {
            tokens.addAll(strings(piece.at("/choices/0/logprobs/tokens")));
            offsets.addAll(strings(piece.at("/choices/0/logprobs/text_offset")));
        }
        assertThat(tokens).isEqualTo(strings(whole.get("tokens"))).hasSize(8);
        assertThat(offsets).isEqualTo(strings(whole.get("text_offset")));
    }

    @Test
    void stop_texts_across_tokens_end_the_text_and_are_not_sent() throws Exception {
        String text = server.answer(PATH, "{'prompt': 'The city of', 'max_tokens': 24, 'temperature': 0}")
                .at("/choices/0/text")
                .asText();
        String stop = text.substring(9, 13);
        String before = text.substring(0, text.indexOf(stop));
        String request =
                "{'prompt': 'The city of', 'max_tokens': 24, 'temperature': 0, 'logprobs': 0, 'stop': ['QQQ', %s]%s}";
        String quoted = TestServer.JSON.writeValueAsString(stop);
        JsonNode choice = server.answer(PATH, request.formatted(quoted, "")).at("/choices/0");
        assertThat(choice.get("text").asText()).isEqualTo(before);
        assertThat(choice.get("finish_reason").asText()).isEqualTo("stop");
        assertThat(choice.get("stop_reason").asText()).isEqualTo(stop);
        StringBuilder streamed = new StringBuilder();
        server.pieces(PATH, request.formatted(quoted, ", 'stream': true"))
                .forEach(piece -> streamed.append(piece.at("/choices/0/text").asText()));
        assertThat(streamed.toString()).isEqualTo(before);
        assertThat(server.answer(PATH, request.formatted(quoted, ", 'include_stop_str_in_output': true"))
                        .at("/choices/0/text")
                        .asText())
                .isEqualTo(before + stop);
    }

    @Test
    void a_stop_id_ends_the_text_is_counted_and_named() throws Exception {
        JsonNode free = server.answer(
                PATH, "{'prompt': 'The city of', 'max_tokens': 8, 'temperature': 0, 'return_token_ids': true}");
        assertThat(free.at("/choices/0/token_ids")).hasSize(8);
        assertThat(free.at("/choices/0/prompt_token_ids")).hasSize(4);
        int id = free.at("/choices/0/token_ids/5").asInt();
        int first = 0;
        while (free.at("/choices/0/token_ids/" + first).asInt() != id) {
            first++;
        }
        JsonNode ended = server.answer(
                PATH, "{'prompt': 'The city of', 'max_tokens': 8, 'temperature': 0, 'stop_token_ids': [" + id + "]}");
        assertThat(ended.at("/choices/0/stop_reason").asInt()).isEqualTo(id);
        assertThat(ended.at("/choices/0/finish_reason").asText()).isEqualTo("stop");
        assertThat(ended.at("/usage/completion_tokens").asInt()).isEqualTo(first + 1);
    }

    @Test
    void the_models_own_end_is_no_stop_reason_and_can_be_ignored() throws Exception {
        // </s> alone is followed by a new text; what matters is that it ends this one.
        String request = "{'prompt': [1, 2], 'max_tokens': 40, 'temperature': 2, 'seed': %d, 'top_k': 3%s}";
        for (int seed = 0; seed < 3; seed++) {
            JsonNode ignored = server.answer(PATH, request.formatted(seed, ", 'ignore_eos': true"));
            assertThat(ignored.at("/usage/completion_tokens").asInt()).isEqualTo(40);
            assertThat(ignored.at("/choices/0/finish_reason").asText()).isEqualTo("length");
        }
    }

    @Test
    void n_texts_differ_and_a_seed_repeats_them() throws Exception {
        String request = "{'prompt': 'The city of', 'max_tokens': 8, 'temperature': 0.9, 'n': 3, 'seed': 5}";
        JsonNode first = server.answer(PATH, request);
        assertThat(first.get("choices")).hasSize(3);
        assertThat(first.at("/choices/0/text")).isNotEqualTo(first.at("/choices/1/text"));
        assertThat(server.answer(PATH, request).get("choices")).isEqualTo(first.get("choices"));
        assertThat(first.at("/usage/prompt_tokens").asInt()).isEqualTo(4);
        assertThat(first.at("/usage/completion_tokens").asInt()).isEqualTo(24);
    }

    @Test
    void choices_of_a_stream_carry_their_index() throws Exception {
        StringBuilder[] texts = {new StringBuilder(), new StringBuilder()};
        String request = "{'prompt': 'The city of', 'max_tokens': 6, 'temperature': 0.9, 'n': 2, 'seed': 5%s}";
        for (JsonNode piece : server.pieces(PATH, request.formatted(", 'stream': true"))) {
            texts[piece.at("/choices/0/index").asInt()].append(
                    piece.at("/choices/0/text").asText());
        }
        JsonNode whole = server.answer(PATH, request.formatted(""));
        assertThat(texts[0].toString()).isEqualTo(whole.at("/choices/0/text").asText());
        assertThat(texts[1].toString()).isEqualTo(whole.at("/choices/1/text").asText());
    }

    @Test
    void the_clients_request_id_is_the_answers() throws Exception {
        HttpResponse<String> response =
                server.post(PATH, "{\"prompt\": \"a\", \"max_tokens\": 1}", "X-Request-Id", "abc-1");
        assertThat(response.headers().firstValue("X-Request-Id")).hasValue("abc-1");
        assertThat(TestServer.JSON.readTree(response.body()).get("id").asText()).isEqualTo("cmpl-abc-1");
        HttpResponse<String> odd =
                server.post(PATH, "{\"prompt\": \"a\", \"max_tokens\": 1}", "X-Request-Id", "<script>");
        assertThat(odd.headers().firstValue("X-Request-Id").orElseThrow()).matches("[0-9a-f]{32}");
    }

    @Test
    void a_prompt_that_fills_the_context_can_be_scored_but_not_continued() throws Exception {
        String ids = "1" + ", 320".repeat(TestServer.CONTEXT - 1);
        JsonNode scored =
                server.answer(PATH, "{'prompt': [" + ids + "], 'max_tokens': 0, 'echo': true, 'logprobs': 1}");
        assertThat(scored.at("/choices/0/logprobs/tokens")).hasSize(TestServer.CONTEXT);
        JsonNode error = server.refusal(PATH, "{'prompt': [" + ids + "], 'max_tokens': 1}");
        assertThat(error.get("status").asInt()).isEqualTo(400);
        assertThat(error.get("code").asText()).isEqualTo("context_length_exceeded");
        // Without the client's own limit the rest of the context is the limit, if smaller than 16.
        String shorter = "1" + ", 320".repeat(TestServer.CONTEXT - 4);
        assertThat(server.answer(PATH, "{'prompt': [" + shorter + "], 'ignore_eos': true}")
                        .at("/usage/completion_tokens")
                        .asInt())
                .isEqualTo(3);
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "{}|400|prompt|",
                "{'prompt': ''}|200||",
                "{'prompt': '', 'add_special_tokens': false}|400|prompt|",
                "{'prompt': []}|400|prompt|",
                "{'prompt': [[]]}|400|prompt|",
                "{'prompt': 5}|400|prompt|",
                "{'prompt': [1, 'a']}|400|prompt|",
                "{'prompt': [true]}|400|prompt|",
                "{'prompt': [999999]}|400|prompt|",
                "{'prompt': [-1]}|400|prompt|",
                "{'prompt': 'a', 'model': 'nope'}|404|model|model_not_found",
                "{'prompt': 'a', 'model': 5}|400|model|",
                "{'prompt': 'a', 'max_tokens': 0}|400|max_tokens|",
                "{'prompt': 'a', 'max_tokens': -1}|400|max_tokens|",
                "{'prompt': 'a', 'max_tokens': 1.5}|400|max_tokens|",
                "{'prompt': 'a', 'max_tokens': 1e30}|400|max_tokens|",
                "{'prompt': 'a', 'max_tokens': '8'}|400|max_tokens|",
                "{'prompt': 'a', 'max_tokens': 255}|400|max_tokens|context_length_exceeded",
                "{'prompt': 'a', 'max_tokens': 5000}|400|max_tokens|context_length_exceeded",
                "{'prompt': 'a', 'temperature': -1}|400|temperature|",
                "{'prompt': 'a', 'temperature': 'hot'}|400|temperature|",
                "{'prompt': 'a', 'temperature': 1e999}|400|temperature|",
                "{'prompt': 'a', 'top_p': 2}|400|top_p|",
                "{'prompt': 'a', 'top_p': 0}|400|top_p|",
                "{'prompt': 'a', 'top_k': -5}|400|top_k|",
                "{'prompt': 'a', 'min_p': 1.5}|400|min_p|",
                "{'prompt': 'a', 'frequency_penalty': 3}|400|frequency_penalty|",
                "{'prompt': 'a', 'repetition_penalty': 0}|400|repetition_penalty|",
                "{'prompt': 'a', 'n': 0}|400|n|",
                "{'prompt': 'a', 'n': 129}|400|n|",
                "{'prompt': 'a', 'logprobs': 21}|400|logprobs|",
                "{'prompt': 'a', 'logprobs': -2}|400|logprobs|",
                "{'prompt': 'a', 'stop': 5}|400|stop|",
                "{'prompt': 'a', 'stop': ['a', 5]}|400|stop|",
                "{'prompt': 'a', 'stop': ''}|400|stop|",
                "{'prompt': 'a', 'stream': 'yes'}|400|stream|",
                "{'prompt': 'a', 'stream_options': {'include_usage': true}}|400|stream_options|",
                "{'prompt': 'a', 'stop_token_ids': [99999]}|400|stop_token_ids|",
                "{'prompt': 'a', 'suffix': 'x'}|400|suffix|unsupported_parameter",
                "{'prompt': 'a', 'best_of': 2}|400|best_of|unsupported_parameter",
                "{'prompt': 'a', 'logit_bias': {'5': 1}}|400|logit_bias|unsupported_parameter",
                "{'prompt': 'a', 'logit_bias': {}, 'suffix': '', 'best_of': 1, 'max_tokens': 1}|200||",
                "{'prompt': 'a', 'min_tokens': 5}|400|min_tokens|unsupported_parameter",
                "{'prompt': 'a', 'use_beam_search': true}|400|use_beam_search|unsupported_parameter",
                "{'prompt': 'a', 'response_format': {'type': 'json_object'}}|400|response_format|unsupported_parameter",
                "{'prompt': 'a', 'temperature': null, 'n': null, 'max_tokens': 1}|200||",
                "{'prompt': 'a', 'max_tokens': 2.0}|200||",
            })
    void wrong_values_are_refused_by_name(String body, int status, String param, String code) throws Exception {
        HttpResponse<String> response = server.post(PATH, body.replace('\'', '"'));
        assertThat(response.statusCode()).as(response.body()).isEqualTo(status);
        assertThat(response.headers().firstValue("Content-Type")).hasValue("application/json");
        if (status != 200) {
            JsonNode error = TestServer.JSON.readTree(response.body()).get("error");
            assertThat(error.get("message").asText()).isNotBlank().doesNotContain("Exception");
            assertThat(error.get("type").asText()).isEqualTo("invalid_request_error");
            assertThat(TestServer.text(error.get("param"))).isEqualTo(param);
            assertThat(TestServer.text(error.get("code"))).isEqualTo(code);
        }
    }

    @Test
    void probabilities_of_a_place_sum_to_one_over_what_is_reported() throws Exception {
        JsonNode top = server.answer(
                        PATH, "{'prompt': 'The city of', 'max_tokens': 1, 'temperature': 0, 'logprobs': 20}")
                .at("/choices/0/logprobs/top_logprobs/0");
        assertThat(top).hasSize(20);
        double sum = 0;
        for (JsonNode one : top) {
            sum += Math.exp(one.asDouble());
        }
        assertThat(sum).isCloseTo(0.7, within(0.3));
    }

    private static List<String> strings(JsonNode list) {
        List<String> found = new ArrayList<>();
        list.forEach(item -> found.add(item.asText()));
        return found;
    }
}
