package nibble.datasets.chat;

import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * Holds the values that a template is rendered with, in the form of OpenAI's API: texts, numbers, booleans, lists, maps
 * and null.
 *
 * @param messages the conversation
 * @param tools functions that the model may call; null for none
 * @param documents texts for the model to answer from; null for none
 * @param generationPrompt whether the text ends where the assistant speaks
 * @param values further values by name, as {@code enable_thinking}
 */
public record ChatRequest(
        List<?> messages,
        @Nullable List<?> tools,
        @Nullable List<?> documents,
        boolean generationPrompt,
        Map<String, ?> values) {
    public ChatRequest {
        // Values may be null, which List.copyOf and Map.copyOf do not take.
        messages = Collections.unmodifiableList(new ArrayList<>(messages));
        values = Collections.unmodifiableMap(new LinkedHashMap<>(values));
    }

    /** Returns a plain conversation, for the assistant to go on with. */
    public static ChatRequest of(List<ChatMessage> messages) {
        return new ChatRequest(
                messages.stream()
                        .map(message -> Map.of("role", message.role().label(), "content", message.content()))
                        .toList(),
                null,
                null,
                true,
                Map.of());
    }
}
