package nibble.checkpoint.chat;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import nibble.checkpoint.source.BadCheckpointException;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class ChatTemplatesTest {
    @TempDir
    Path folder;

    private Map<String, String> found() {
        return ChatTemplates.of(folder, Map.of()).sources();
    }

    @Test
    void templates_are_found_where_checkpoints_have_them_and_the_newer_places_win() throws IOException {
        assertThat(ChatTemplates.of(folder, Map.of()).isEmpty()).isTrue();
        assertThat(ChatTemplates.of(
                                folder,
                                Map.of(
                                        "tokenizer_config.json",
                                        "{\"chat_template\": \"made\"}".getBytes(StandardCharsets.UTF_8)))
                        .sources())
                .containsExactly(Map.entry("default", "made"));
        Files.writeString(
                folder.resolve("tokenizer_config.json"),
                "{\"chat_template\": [{\"name\": \"tool_use\", \"template\": \"t\"},"
                        + " {\"name\": \"default\", \"template\": \"list\"}]}");
        assertThat(found()).containsExactly(Map.entry("tool_use", "t"), Map.entry("default", "list"));
        Files.writeString(
                folder.resolve("tokenizer_config.json"), "{\"chat_template\": {\"rag\": \"r\", \"default\": \"d\"}}");
        assertThat(found()).containsExactly(Map.entry("rag", "r"), Map.entry("default", "d"));
        Files.writeString(folder.resolve("tokenizer_config.json"), "{\"chat_template\": \"config {{ bos_token }}\"}");
        assertThat(found()).containsExactly(Map.entry("default", "config {{ bos_token }}"));
        Files.writeString(folder.resolve("chat_template.json"), "{\"chat_template\": \"json\"}");
        assertThat(found()).containsExactly(Map.entry("default", "json"));
        Files.writeString(folder.resolve("chat_template.jinja"), "file\n");
        Files.createDirectory(folder.resolve("additional_chat_templates"));
        Files.writeString(folder.resolve("additional_chat_templates/tool_use.jinja"), "tools\n");
        assertThat(found()).containsExactly(Map.entry("default", "file\n"), Map.entry("tool_use", "tools\n"));
    }

    @Test
    void with_tools_tool_use_is_chosen_and_without_a_name_the_default() throws IOException {
        Files.writeString(folder.resolve("chat_template.jinja"), "d");
        assertThat(ChatTemplates.of(folder, Map.of()).choose(null, true)).contains("default");
        Files.createDirectory(folder.resolve("additional_chat_templates"));
        Files.writeString(folder.resolve("additional_chat_templates/tool_use.jinja"), "t");
        ChatTemplates both = ChatTemplates.of(folder, Map.of());
        assertThat(both.choose(null, true)).contains("tool_use");
        assertThat(both.choose(null, false)).contains("default");
        assertThat(both.choose("default", true)).contains("default");
        assertThat(both.choose("rag", true)).isEmpty();
    }

    @Test
    void one_template_is_written_as_a_text_and_several_as_a_list() throws IOException {
        ObjectNode config = JsonNodeFactory.instance.objectNode();
        Files.writeString(folder.resolve("chat_template.jinja"), "d");
        ChatTemplates.of(folder, Map.of()).putInto(config);
        assertThat(config).hasToString("{\"chat_template\":\"d\"}");
        Files.createDirectory(folder.resolve("additional_chat_templates"));
        Files.writeString(folder.resolve("additional_chat_templates/rag.jinja"), "r");
        ChatTemplates.of(folder, Map.of()).putInto(config);
        assertThat(config)
                .hasToString(
                        "{\"chat_template\":[{\"name\":\"default\",\"template\":\"d\"},{\"name\":\"rag\",\"template\":\"r\"}]}");
    }

    @Test
    void broken_files_are_named() throws IOException {
        for (String json : new String[] {
            "{\"chat_template\": ",
            "{\"chat_template\": 3}",
            "{\"chat_template\": [\"x\"]}",
            "{\"chat_template\": [{\"name\": \"a\"}]}"
        }) {
            Files.writeString(folder.resolve("tokenizer_config.json"), json);
            assertThatThrownBy(this::found)
                    .as(json)
                    .isInstanceOf(BadCheckpointException.class)
                    .hasMessageContaining("tokenizer_config.json");
        }
        Files.write(folder.resolve("chat_template.jinja"), new byte[] {(byte) 0xff, 'x'});
        assertThatThrownBy(this::found)
                .isInstanceOf(BadCheckpointException.class)
                .hasMessageContaining("is not UTF-8");
    }
}
