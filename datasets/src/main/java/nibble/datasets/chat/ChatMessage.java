package nibble.datasets.chat;

import java.util.Locale;

/**
 * Holds one turn of a conversation.
 *
 * @param role who speaks
 * @param content what is said, as it is
 */
public record ChatMessage(Role role, String content) {
    /** Says who speaks. */
    public enum Role {
        SYSTEM,
        USER,
        ASSISTANT;

        /** The name in templates. */
        String label() {
            return name().toLowerCase(Locale.ROOT);
        }
    }

    public static ChatMessage system(String content) {
        return new ChatMessage(Role.SYSTEM, content);
    }

    public static ChatMessage user(String content) {
        return new ChatMessage(Role.USER, content);
    }

    public static ChatMessage assistant(String content) {
        return new ChatMessage(Role.ASSISTANT, content);
    }
}
