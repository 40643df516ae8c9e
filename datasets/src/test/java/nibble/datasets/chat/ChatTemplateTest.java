package nibble.datasets.chat;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.time.Year;
import java.time.ZoneId;
import java.time.ZoneOffset;
import java.time.ZonedDateTime;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.SequencedMap;
import nibble.datasets.BadDatasetException;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Templates render as Jinja2 renders them; what it refuses is refused. */
class ChatTemplateTest {
    private static final SpecialTokens TOKENS = new SpecialTokens("<s>", "</s>");

    /** The conversation of scripts/chat_expected.py. */
    private static final List<ChatMessage> CONVERSATION = List.of(
            ChatMessage.system("Be {{ kind }}\nnow."),
            ChatMessage.user(" Hi 'you' & \"me\" "),
            ChatMessage.assistant("<note>x</note>Ho \\n é 漢"),
            ChatMessage.user("Again?"));

    @ParameterizedTest
    @ValueSource(strings = {"headers", "pairs", "blocks"})
    void templates_of_the_kinds_models_have_render_as_in_jinja2(String name) throws IOException {
        String rendered = ChatTemplate.of(name, resource(name + ".jinja")).render(CONVERSATION, TOKENS);
        assertThat(rendered).isEqualTo(resource(name + ".txt"));
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '¦',
            value = {
                "orca-hashes  ¦ <s>### System:~S~~### User:~U~~### Assistant:~A</s>~~### User:~V~~### Assistant:~",
                "llama-2-chat ¦ <s>[INST] <<SYS>>~S~<</SYS>>~~U [/INST] A </s><s>[INST] V [/INST]",
                "chatml       ¦"
                    + " <s><|im_start|>system~S<|im_end|>~<|im_start|>user~U<|im_end|>~<|im_start|>assistant~A<|im_end|>~<|im_start|>user~V<|im_end|>~<|im_start|>assistant~",
                "alpaca       ¦ <s>S~~### Instruction:~U~~### Response:~A</s>~~### Instruction:~V~~### Response:~",
                "vicuna       ¦ <s>S USER: U ASSISTANT: A</s>USER: V ASSISTANT:"
            })
    void built_in_formats_are_the_ones_models_were_trained_on(String name, String expected) {
        List<ChatMessage> messages = List.of(
                ChatMessage.system("S"), ChatMessage.user("U"), ChatMessage.assistant("A"), ChatMessage.user("V"));
        ChatTemplate template = ChatTemplate.named(name);
        assertThat(template.render(messages, TOKENS)).isEqualTo(expected.replace('~', '\n'));
        assertThat(template.render(List.of(ChatMessage.user("{{ x }}")), TOKENS))
                .contains("{{ x }}");
        assertThat(template.stops()).isNotEmpty();
    }

    @Test
    void every_built_in_format_is_tested() {
        assertThat(ChatTemplate.names()).containsExactly("orca-hashes", "llama-2-chat", "chatml", "alpaca", "vicuna");
        assertThatThrownBy(() -> ChatTemplate.named("nonsense"))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("orca-hashes, llama-2-chat");
    }

    @Test
    void a_templates_own_refusal_is_shown() {
        List<ChatMessage> twice = List.of(ChatMessage.user("a"), ChatMessage.user("b"));
        assertThatThrownBy(() -> ChatTemplate.named("llama-2-chat").render(twice, TOKENS))
                .isInstanceOf(BadDatasetException.class)
                .hasMessageContaining("refuses the conversation: after the system message");
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '¦',
            value = {
                "{% frobnicate %}                                            ¦ is no template: line 1: unknown tag",
                "{% for m in messages %}                                     ¦ is no template: line 1",
                "{{ ''.getClass().forName('java.lang.Runtime') }}            ¦ has no attribute 'getClass'",
                "{{ messages.getClass() }}                                   ¦ has no attribute 'getClass'",
                "{{ messages[0].content.__class__.mro() }}                   ¦ is unsafe",
                "{% macro f(x) %}{{ f(x) }}{% endmacro %}{{ f(1) }}          ¦ more than 200 calls",
                "{% include 'file:///etc/passwd' %}                          ¦ no loader",
                "{{ messages.append(1) }}                                    ¦ is unsafe",
                "{{ 'x' * 1000000000 }}                                      ¦ more than 134217728 characters",
                "{{ messages[0].content + 1 }}                               ¦ can only concatenate str",
            })
    void what_jinja2_refuses_or_what_would_take_too_much_is_refused(String source, String expected) {
        assertThatThrownBy(() -> ChatTemplate.of("model", source).render(CONVERSATION, TOKENS))
                .isInstanceOf(BadDatasetException.class)
                .hasMessageContaining("prompt template model")
                .hasMessageContaining(expected);
    }

    @Test
    void the_date_is_that_of_the_clock() {
        ZonedDateTime time = ZonedDateTime.of(2026, 3, 7, 14, 5, 9, 0, ZoneOffset.UTC);
        String rendered = ChatTemplate.of("model", "{{ strftime_now('%d %b %Y %H:%M') }}")
                .render(ChatRequest.of(CONVERSATION), TOKENS, () -> time);
        assertThat(rendered).isEqualTo("07 Mar 2026 14:05");
        assertThat(ChatTemplate.of("model", "{{ strftime_now('%Y') }}").render(CONVERSATION, TOKENS))
                .isEqualTo(Year.now(ZoneId.systemDefault()).toString());
    }

    @Test
    void tools_documents_special_tokens_and_further_values_reach_the_template() {
        SequencedMap<String, String> names = new LinkedHashMap<>();
        names.put("bos_token", "<b>");
        names.put("image_token", "<img>");
        ChatRequest request = new ChatRequest(
                List.of(Map.of("role", "user", "content", List.of(Map.of("type", "text", "text", "hi")))),
                List.of(Map.of("name", "f")),
                null,
                false,
                Map.of("enable_thinking", false, "n", 3));
        String source =
                "{{ bos_token }}{{ image_token }}{{ eos_token is defined }} {{ tools[0].name }} {{ documents is none"
                        + " }} {{ add_generation_prompt }} {{ enable_thinking }} {{ n + 1 }} {{"
                        + " messages[0].content[0].text }}";
        assertThat(ChatTemplate.of("model", source).render(request, new SpecialTokens(names)))
                .isEqualTo("<b><img>False f True False False 4 hi");
    }

    private static String resource(String name) throws IOException {
        try (var in = ChatTemplateTest.class.getResourceAsStream("/chat/" + name)) {
            return new String(in.readAllBytes(), StandardCharsets.UTF_8);
        }
    }
}
