package nibble.cli.option;

import com.fasterxml.jackson.databind.JsonNode;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import nibble.datasets.chat.ChatMessage;
import nibble.datasets.chat.ChatRequest;
import nibble.datasets.chat.ChatTemplate;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Option;

/** Holds the options for how a prompt becomes the text that a chat model was trained on. */
public final class ChatOptions {
    @Option(
            names = "--template",
            paramLabel = "NAME",
            description =
                    "Prompt format: orca-hashes, llama-2-chat, chatml, alpaca, vicuna, model (the checkpoint's chat"
                        + " template), or the name of another template of the checkpoint. Default: none; with --chat,"
                        + " model.")
    private @Nullable String name;

    @Option(
            names = "--system",
            paramLabel = "TEXT",
            description = "System prompt of the conversation; needs a template.")
    private @Nullable String system;

    @Option(
            names = "--chat",
            description = "Hold a conversation; each input line is a turn. /clear starts again, /exit or the end of the"
                    + " input ends it.")
    public boolean chat;

    @Option(
            names = "--set",
            paramLabel = "NAME=VALUE",
            description = "A value for the template, such as enable_thinking=false: parsed as JSON if it is valid JSON,"
                    + " otherwise text. May be repeated.")
    private Map<String, String> set = new LinkedHashMap<>();

    /** Returns the format, if there is to be one. */
    public Optional<ChatTemplate> template(Path model) {
        if (name == null && !chat) {
            if (system != null || !set.isEmpty()) {
                throw new UsageException((system != null ? "--system" : "--set") + " needs --template or --chat");
            }
            return Optional.empty();
        }
        return Optional.of(ModelChat.format(model, name, false));
    }

    /** Returns the template's input for a conversation. */
    public ChatRequest request(List<ChatMessage> turns) {
        Map<String, @Nullable Object> values = new LinkedHashMap<>();
        set.forEach((name, value) -> values.put(name, ConversationJson.value(value)));
        ChatRequest plain = ChatRequest.of(turns);
        return new ChatRequest(plain.messages(), null, null, true, values);
    }

    /** Returns the template's input for a conversation as OpenAI's API has it. */
    public ChatRequest request(JsonNode conversation, String where) {
        Map<String, @Nullable Object> values = new LinkedHashMap<>();
        set.forEach((name, value) -> values.put(name, ConversationJson.value(value)));
        if (system != null) {
            throw new UsageException("--system does not go with \"messages\" (" + where + "); put it into them");
        }
        return ConversationJson.request(conversation, null, values, where);
    }

    /** Returns a conversation's beginning. */
    public List<ChatMessage> beginning() {
        List<ChatMessage> messages = new ArrayList<>();
        if (system != null) {
            messages.add(ChatMessage.system(system));
        }
        return messages;
    }
}
