package nibble.datasets.chat;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Year;
import java.util.List;
import nibble.datasets.BadDatasetException;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Templates render as Jinja2 renders them; what is known to come out otherwise is refused. */
class ChatTemplateTest {
    private static final SpecialTokens TOKENS = new SpecialTokens("<s>", "</s>");

    /** The conversation of scripts/chat_expected.py. */
    private static final List<ChatMessage> CONVERSATION = List.of(
            ChatMessage.system("Be {{ kind }}\nnow."),
            ChatMessage.user(" Hi 'you' & \"me\" "),
            ChatMessage.assistant("<note>x</note>Ho \\n é 漢"),
            ChatMessage.user("Again?"));

    @TempDir
    Path folder;

    @ParameterizedTest
    @ValueSource(strings = {"headers", "pairs", "blocks"})
    void templatesOfTheKindsModelsHaveRenderAsInJinja2(String name) throws IOException {
        String rendered = ChatTemplate.of(name, resource(name + ".jinja")).render(CONVERSATION, TOKENS);
        assertThat(rendered).isEqualTo(resource(name + ".txt"));
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '¦',
            value = {
                "orca-hashes  ¦ <s>### System:~S~~### User:~U~~### Assistant:~A</s>~~### User:~V~~### Assistant:~",
                "llama-2-chat ¦ <s>[INST] <<SYS>>~S~<</SYS>>~~U [/INST] A </s><s>[INST] V [/INST]",
                "chatml       ¦ <s><|im_start|>system~S<|im_end|>~<|im_start|>user~U<|im_end|>~<|im_start|>assistant~A<|im_end|>~<|im_start|>user~V<|im_end|>~<|im_start|>assistant~",
                "alpaca       ¦ <s>S~~### Instruction:~U~~### Response:~A</s>~~### Instruction:~V~~### Response:~",
                "vicuna       ¦ <s>S USER: U ASSISTANT: A</s>USER: V ASSISTANT:"
            })
    void builtInFormatsAreTheOnesModelsWereTrainedOn(String name, String expected) {
        List<ChatMessage> messages =
                List.of(ChatMessage.system("S"), ChatMessage.user("U"), ChatMessage.assistant("A"), ChatMessage.user("V"));
        ChatTemplate template = ChatTemplate.named(name);
        assertThat(template.render(messages, TOKENS)).isEqualTo(expected.replace('~', '\n'));
        assertThat(template.render(List.of(ChatMessage.user("{{ x }}")), TOKENS)).contains("{{ x }}");
        assertThat(template.stops()).isNotEmpty();
    }

    @Test
    void everyBuiltInFormatIsTested() {
        assertThat(ChatTemplate.names()).containsExactly("orca-hashes", "llama-2-chat", "chatml", "alpaca", "vicuna");
        assertThatThrownBy(() -> ChatTemplate.named("nonsense"))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("orca-hashes, llama-2-chat");
    }

    @Test
    void theCheckpointsOwnTemplateIsFoundWhereCheckpointsHaveIt() throws IOException {
        assertThat(ChatTemplate.ofModel(folder)).isEmpty();
        Files.writeString(folder.resolve("tokenizer_config.json"), "{\"chat_template\": [{\"name\": \"tool_use\", \"template\": \"t\"},"
                + " {\"name\": \"default\", \"template\": \"list\"}], \"bos_token\": {\"content\": \"<b>\"}, \"eos_token\": null}");
        assertThat(rendered()).isEqualTo("list");
        assertThat(SpecialTokens.of(folder)).isEqualTo(new SpecialTokens("<b>", ""));
        Files.writeString(folder.resolve("tokenizer_config.json"), "{\"chat_template\": \"config {{ bos_token }}\"}");
        assertThat(rendered()).isEqualTo("config <s>");
        Files.writeString(folder.resolve("chat_template.json"), "{\"chat_template\": \"json\"}");
        assertThat(rendered()).isEqualTo("json");
        Files.writeString(folder.resolve("chat_template.jinja"), "file\n");
        assertThat(rendered()).isEqualTo("file");
    }

    private String rendered() {
        return ChatTemplate.ofModel(folder).orElseThrow().render(CONVERSATION, TOKENS);
    }

    @Test
    void aTemplatesOwnRefusalIsShown() {
        List<ChatMessage> twice = List.of(ChatMessage.user("a"), ChatMessage.user("b"));
        assertThatThrownBy(() -> ChatTemplate.named("llama-2-chat").render(twice, TOKENS))
                .isInstanceOf(BadDatasetException.class)
                .hasMessageContaining("refuses the conversation: after the system message");
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "{% for m in messages[::-1] %}{{ m.role }}{% endfor %}",
                "{{ messages[0].content.startswith('x') }}",
                "{{ messages[0].content.rstrip('x') }}",
                "{% for m in messages if m.role == 'user' %}{{ m.role }}{% endfor %}",
                "{%- for m in messages recursive -%}{{ m.role }}{% endfor %}",
                "{% for m in messages %}{{ loop.previtem }}{% endfor %}",
                "{% frobnicate %}",
                "{{ ''.getClass().forName('java.lang.Runtime') }}",
                "{{ messages.getClass() }}",
                "{% for m in messages %}",
                "{% macro f(x) %}{{ f(x) }}{% endmacro %}{{ f(1) }}",
                "{% include 'file:///etc/passwd' %}",
            })
    void whatCannotBeRenderedRightIsRefused(String source) {
        assertThatThrownBy(() -> ChatTemplate.of("model", source).render(CONVERSATION, TOKENS))
                .isInstanceOf(BadDatasetException.class)
                .hasMessageContaining("prompt template model");
    }

    @Test
    void todaysDateIsThere() {
        String rendered = ChatTemplate.of("model", "{{ strftime_now('%d %b %Y') }}").render(CONVERSATION, TOKENS);
        assertThat(rendered).matches("\\d\\d [A-Z][a-z]{2} 20\\d\\d").endsWith(Year.now(java.time.ZoneId.systemDefault()).toString());
    }

    @Test
    void brokenFilesAreNamed() throws IOException {
        Files.writeString(folder.resolve("tokenizer_config.json"), "{\"chat_template\": ");
        assertThatThrownBy(() -> ChatTemplate.ofModel(folder))
                .isInstanceOf(BadDatasetException.class)
                .hasMessageContaining("tokenizer_config.json");
    }

    private static String resource(String name) throws IOException {
        try (var in = ChatTemplateTest.class.getResourceAsStream("/chat/" + name)) {
            return new String(in.readAllBytes(), StandardCharsets.UTF_8);
        }
    }
}
