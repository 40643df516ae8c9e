package nibble.cli.command;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.List;
import java.util.function.Function;
import nibble.cli.option.ChatOptions;
import nibble.cli.option.UsageException;
import nibble.cli.terminal.Terminal;
import nibble.datasets.chat.ChatMessage;
import nibble.files.Reasons;
import org.jspecify.annotations.Nullable;

/** Turns typed at a terminal, each answered with all before it in view. */
final class Conversation {
    private final Terminal terminal;
    private final ChatOptions options;
    private final Function<List<ChatMessage>, String> answer;

    /**
     * @param answer prints the assistant's next turn and returns it; throws {@link UsageException} where the
     *     conversation has become too long
     */
    Conversation(Terminal terminal, ChatOptions options, Function<List<ChatMessage>, String> answer) {
        this.terminal = terminal;
        this.options = options;
        this.answer = answer;
    }

    /** Talks until the input ends. */
    void hold() {
        List<ChatMessage> messages = options.beginning();
        for (String line = read(); line != null && !line.strip().equals("/exit"); line = read()) {
            if (terminal.lostOutput().isPresent()) {
                return;
            }
            if (line.isBlank()) {
                continue;
            }
            if (line.strip().equals("/clear")) {
                messages = options.beginning();
                continue;
            }
            messages.add(ChatMessage.user(line));
            try {
                messages.add(ChatMessage.assistant(answer.apply(messages).strip()));
            } catch (UsageException e) {
                messages.removeLast();
                terminal.note(e.getMessage() + "; /clear starts again");
            }
        }
    }

    private @Nullable String read() {
        if (terminal.interactive()) {
            terminal.err().print("> ");
            terminal.err().flush();
        }
        try {
            return terminal.in().readLine();
        } catch (IOException e) {
            throw new UncheckedIOException("standard input cannot be read: " + Reasons.of(e), e);
        }
    }
}
