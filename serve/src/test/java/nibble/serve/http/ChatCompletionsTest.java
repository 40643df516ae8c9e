package nibble.serve.http;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import java.net.http.HttpResponse;
import java.util.List;
import java.util.Optional;
import java.util.function.UnaryOperator;
import nibble.datasets.chat.ChatMessage;
import nibble.datasets.chat.SpecialTokens;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Answers of /v1/chat/completions: shapes are those of vLLM 0.32 and of OpenAI's reference. */
class ChatCompletionsTest {
    private static final String PATH = "/v1/chat/completions";
    private static final String ASKED = "'messages': [{'role': 'user', 'content': 'Tell of a film.'}]";

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

    private static JsonNode answer(String fields) throws Exception {
        return server.answer(PATH, "{" + ASKED + ", 'max_tokens': 8, 'temperature': 0" + fields + "}");
    }

    @Test
    void an_answer_has_the_fields_that_clients_read() throws Exception {
        JsonNode body = answer("");
        assertThat(body.get("id").asText()).startsWith("chatcmpl-");
        assertThat(body.get("object").asText()).isEqualTo("chat.completion");
        JsonNode choice = body.get("choices").get(0);
        assertThat(choice.at("/message/role").asText()).isEqualTo("assistant");
        assertThat(choice.at("/message/content").asText()).isNotEmpty();
        assertThat(choice.at("/message/refusal").isNull()).isTrue();
        assertThat(choice.get("logprobs").isNull()).isTrue();
        assertThat(choice.get("finish_reason").asText()).isIn("length", "stop");
        String input = server.model
                .template()
                .orElseThrow()
                .render(
                        List.of(ChatMessage.user("Tell of a film.")),
                        new SpecialTokens(server.model.described().names()));
        assertThat(body.at("/usage/prompt_tokens").asInt()).isEqualTo(server.tokenizer.encode(input, false).length);
    }

    @Test
    void the_first_piece_of_a_stream_has_the_role_and_the_last_one_the_reason() throws Exception {
        String whole = answer("").at("/choices/0/message/content").asText();
        List<JsonNode> pieces =
                server.pieces(PATH, "{" + ASKED + ", 'max_tokens': 8, 'temperature': 0, 'stream': true}");
        JsonNode first = pieces.getFirst();
        assertThat(first.get("object").asText()).isEqualTo("chat.completion.chunk");
        assertThat(first.at("/choices/0/delta/role").asText()).isEqualTo("assistant");
        assertThat(first.at("/choices/0/delta/content").asText()).isEmpty();
        assertThat(first.at("/choices/0/finish_reason").isNull()).isTrue();
        StringBuilder text = new StringBuilder();
        pieces.forEach(piece -> text.append(piece.at("/choices/0/delta/content").asText()));
        assertThat(text.toString()).isEqualTo(whole);
        assertThat(pieces.getLast().at("/choices/0/finish_reason").asText()).isIn("length", "stop");
        assertThat(pieces.stream().filter(piece -> piece.at("/choices/0/delta").has("role")))
                .hasSize(1);
    }

    @Test
    void every_choice_of_a_stream_begins_with_the_role() throws Exception {
        List<JsonNode> pieces = server.pieces(
                PATH, "{" + ASKED + ", 'max_tokens': 2, 'temperature': 0.9, 'stream': true, 'n': 2, 'seed': 4}");
        assertThat(pieces.get(0).at("/choices/0/index").asInt()).isZero();
        assertThat(pieces.get(1).at("/choices/0/index").asInt()).isEqualTo(1);
        assertThat(pieces.get(1).at("/choices/0/delta/role").asText()).isEqualTo("assistant");
    }

    @Test
    void log_probabilities_have_tokens_bytes_and_the_likeliest() throws Exception {
        JsonNode content = answer(", 'logprobs': true, 'top_logprobs': 2").at("/choices/0/logprobs/content");
        assertThat(content).hasSize(8);
        for (JsonNode place : content) {
            assertThat(place.get("top_logprobs")).hasSize(2);
            assertThat(place.at("/top_logprobs/0/token")).isEqualTo(place.get("token"));
            byte[] bytes = new byte[place.get("bytes").size()];
            for (int i = 0; i < bytes.length; i++) {
                bytes[i] = (byte) place.get("bytes").get(i).asInt();
            }
            assertThat(new String(bytes, java.nio.charset.StandardCharsets.UTF_8))
                    .isEqualTo(place.get("token").asText());
        }
        assertThat(answer(", 'logprobs': true").at("/choices/0/logprobs/content/0/top_logprobs"))
                .isEmpty();
    }

    @Test
    void max_completion_tokens_is_max_tokens() throws Exception {
        JsonNode body = server.answer(PATH, "{" + ASKED + ", 'max_completion_tokens': 3, 'temperature': 0}");
        assertThat(body.at("/usage/completion_tokens").asInt()).isEqualTo(3);
    }

    @Test
    void without_a_limit_the_rest_of_the_context_is_the_limit() throws Exception {
        JsonNode body = server.answer(PATH, "{" + ASKED + ", 'temperature': 0, 'ignore_eos': true, 'stop': 'QQQQ'}");
        assertThat(body.at("/usage/total_tokens").asInt()).isLessThanOrEqualTo(TestServer.CONTEXT);
        assertThat(body.at("/choices/0/finish_reason").asText()).isIn("length", "stop");
    }

    @Test
    void parts_of_a_text_are_its_lines() throws Exception {
        JsonNode parts = server.answer(
                PATH,
                "{'messages': [{'role': 'user', 'content': [{'type': 'text', 'text': 'Hi'}, {'type': 'text', 'text':"
                        + " 'there'}]}], 'max_tokens': 1}");
        JsonNode whole =
                server.answer(PATH, "{'messages': [{'role': 'user', 'content': 'Hi\\nthere'}], 'max_tokens': 1}");
        assertThat(parts.at("/usage/prompt_tokens")).isEqualTo(whole.at("/usage/prompt_tokens"));
    }

    @Test
    void a_final_message_is_continued() throws Exception {
        JsonNode tokens = server.answer(
                "/tokenize",
                "{'messages': [{'role': 'user', 'content': 'Hi'}, {'role': 'assistant', 'content': 'The film'}],"
                        + " 'continue_final_message': true, 'return_token_strs': true}");
        String text = String.join(
                        "",
                        tokens.get("token_strs")
                                .valueStream()
                                .map(JsonNode::asText)
                                .toList())
                .replace('\u2581', ' ');
        assertThat(text).endsWith("The film").contains("Hi");
    }

    @Test
    void tools_that_must_not_be_called_are_no_reason_to_refuse() throws Exception {
        String tools = ", 'tools': [{'type': 'function', 'function': {'name': 'f', 'parameters': {}}}]";
        assertThat(answer(tools + ", 'tool_choice': 'none'")
                        .at("/choices/0/message/content")
                        .asText())
                .isNotEmpty();
        JsonNode error = server.refusal(PATH, "{" + ASKED + tools + "}");
        assertThat(error.get("status").asInt()).isEqualTo(400);
        assertThat(error.get("param").asText()).isEqualTo("tools");
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "{}|400|messages",
                "{'messages': []}|400|messages",
                "{'messages': 'Hi'}|400|messages",
                "{'messages': ['Hi']}|400|messages[0]",
                "{'messages': [{'content': 'x'}]}|400|messages[0].role",
                "{'messages': [{'role': 'robot', 'content': 'x'}]}|400|messages[0].role",
                "{'messages': [{'role': 'user'}]}|400|messages[0].content",
                "{'messages': [{'role': 'user', 'content': null}]}|400|messages[0].content",
                "{'messages': [{'role': 'user', 'content': 5}]}|400|messages[0].content",
                "{'messages': [{'role': 'user', 'content': [{'type': 'image_url', 'image_url': {'url':"
                        + " 'x'}}]}]}|400|messages[0].content",
                "{'messages': [{'role': 'user', 'content': [{'type': 'text'}]}]}|400|messages[0].content",
                "{'messages': [{'role': 'user', 'content': '\\ud800'}]}|400|messages[0].content",
                "{'messages': [{'role': 'user', 'content': 'x'}], 'max_tokens': 5000}|400|max_tokens",
                "{'messages': [{'role': 'user', 'content': 'x'}], 'max_tokens': 0}|400|max_tokens",
                "{'messages': [{'role': 'user', 'content': 'x'}], 'top_logprobs': 2}|400|top_logprobs",
                "{'messages': [{'role': 'user', 'content': 'x'}], 'logprobs': true, 'top_logprobs':"
                        + " 21}|400|top_logprobs",
                "{'messages': [{'role': 'user', 'content': 'x'}], 'logprobs': 5}|400|logprobs",
                "{'messages': [{'role': 'user', 'content': 'x'}], 'response_format': {'type':"
                        + " 'json_object'}}|400|response_format",
                "{'messages': [{'role': 'user', 'content': 'x'}], 'response_format': 'json'}|400|response_format",
                "{'messages': [{'role': 'user', 'content': 'x'}], 'chat_template': '{{ 1 }}'}|400|chat_template",
                "{'messages': [{'role': 'user', 'content': 'x'}], 'chat_template_kwargs': []}|400|chat_template_kwargs",
                "{'messages': [{'role': 'user', 'content': 'x'}], 'modalities': ['text', 'audio']}|400|modalities",
                "{'messages': [{'role': 'user', 'content': 'x'}], 'functions': [{'name': 'f'}]}|400|functions",
                "{'messages': [{'role': 'user', 'content': 'x'}], 'continue_final_message': true,"
                        + " 'add_generation_prompt': true}|400|continue_final_message",
                "{'messages': [{'role': 'developer', 'content': 'x'}, {'role': 'user', 'content': 'x'}], 'max_tokens':"
                        + " 1}|200|",
                "{'messages': [{'role': 'user', 'content': 'x'}], 'response_format': {'type': 'text'}, 'tools': [],"
                        + " 'modalities': ['text'], 'max_tokens': 1}|200|",
            })
    void wrong_values_are_refused_by_name(String body, int status, String param) throws Exception {
        HttpResponse<String> response = server.post(PATH, body.replace('\'', '"'));
        assertThat(response.statusCode()).as(response.body()).isEqualTo(status);
        if (status != 200) {
            JsonNode error = TestServer.JSON.readTree(response.body()).get("error");
            assertThat(error.get("message").asText()).isNotBlank().doesNotContain("Exception");
            assertThat(TestServer.text(error.get("param"))).isEqualTo(param);
        }
    }

    @Test
    void a_conversation_beyond_the_context_is_refused_before_or_after_it_is_encoded() throws Exception {
        for (int words : new int[] {300, 300_000}) {
            JsonNode error = server.refusal(
                    PATH, "{'messages': [{'role': 'user', 'content': '" + "city ".repeat(words) + "'}]}");
            assertThat(error.get("status").asInt()).isEqualTo(400);
            assertThat(error.get("code").asText()).isEqualTo("context_length_exceeded");
        }
    }

    @Test
    void a_model_without_a_template_says_what_to_do() throws Exception {
        try (TestServer plain = new TestServer(UnaryOperator.identity(), Optional.empty(), 4)) {
            JsonNode error = plain.refusal(PATH, "{" + ASKED + "}");
            assertThat(error.get("status").asInt()).isEqualTo(400);
            assertThat(error.get("message").asText()).contains("--chat-template");
        }
    }
}
