package nibble.cli;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import nibble.datasets.chat.ChatMessage;
import nibble.datasets.chat.ChatTemplate;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Option;

/** How a prompt becomes the text that a chat model was trained on. */
final class ChatOptions {
    @Option(
            names = "--template",
            paramLabel = "NAME",
            description = "Put the prompt into a format: orca-hashes, llama-2-chat, chatml, alpaca, vicuna, or model for the"
                    + " checkpoint's own chat_template. Default: none; with --chat, the checkpoint's own.")
    private @Nullable String name;

    @Option(names = "--system", paramLabel = "TEXT", description = "What the model is told before the conversation; needs a template.")
    private @Nullable String system;

    @Option(
            names = "--chat",
            description = "Hold a conversation: each line typed is a turn. /clear begins anew, /exit or the end of the input ends it.")
    boolean chat;

    /** The format, if there is to be one. */
    Optional<ChatTemplate> template(Path model) {
        if (name == null && !chat) {
            if (system != null) {
                throw new UsageException("--system needs --template or --chat");
            }
            return Optional.empty();
        }
        return Optional.of(format(model, name));
    }

    /**
     * The format of this name; for {@code model} or no name the checkpoint's own.
     *
     * @throws UsageException if there is none
     */
    static ChatTemplate format(Path model, @Nullable String name) {
        if (name == null || name.equals("model")) {
            return ChatTemplate.ofModel(model)
                    .orElseThrow(() -> new UsageException(model + ": has no chat_template of its own; give --template one of "
                            + String.join(", ", ChatTemplate.names())));
        }
        try {
            return ChatTemplate.named(name);
        } catch (IllegalArgumentException e) {
            throw new UsageException(e.getMessage());
        }
    }

    /** A conversation's beginning. */
    List<ChatMessage> beginning() {
        List<ChatMessage> messages = new ArrayList<>();
        if (system != null) {
            messages.add(ChatMessage.system(system));
        }
        return messages;
    }
}
