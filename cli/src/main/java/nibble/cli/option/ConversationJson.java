package nibble.cli.option;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.json.JsonMapper;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import nibble.datasets.BadDatasetException;
import nibble.datasets.SourceText;
import nibble.datasets.chat.ChatRequest;
import nibble.files.Reasons;
import org.jspecify.annotations.Nullable;

/** Reads conversations, tools and values for templates from JSON, in the form of OpenAI's API. */
public final class ConversationJson {
    private static final long MAX_BYTES = 64 << 20;

    private static final ObjectMapper JSON = JsonMapper.builder()
            .enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS)
            .build();

    private ConversationJson() {}

    /**
     * Reads a file.
     *
     * @throws BadDatasetException if the file is not there, too large or no JSON
     */
    public static JsonNode read(Path file) {
        return parse(text(file), file.toString());
    }

    public static String text(Path file) {
        SourceText.require(file);
        try {
            if (Files.size(file) > MAX_BYTES) {
                throw new BadDatasetException(file + ": larger than " + MAX_BYTES + " bytes; give a smaller one");
            }
            return Files.readString(file);
        } catch (IOException e) {
            throw new BadDatasetException(file + ": cannot be read as UTF-8 text: " + Reasons.of(e), e);
        }
    }

    /**
     * Parses a text.
     *
     * @param where for messages
     */
    public static JsonNode parse(String text, String where) {
        try {
            return JSON.readTree(text);
        } catch (JsonProcessingException e) {
            throw new BadDatasetException(where + ": is no JSON: " + Reasons.of(e), e);
        }
    }

    /** Returns a value given on the command line: JSON where it is JSON, else text. */
    public static @Nullable Object value(String text) {
        try {
            return java(JSON.readTree(text));
        } catch (JsonProcessingException e) {
            return text;
        }
    }

    private static @Nullable Object java(JsonNode node) {
        return node.isMissingNode() ? "" : JSON.convertValue(node, Object.class);
    }

    /**
     * Returns a conversation: a list of messages, or an object with {@code messages} and whatever else the template is
     * given, as {@code tools}, {@code documents}, {@code add_generation_prompt} and {@code chat_template_kwargs}.
     *
     * @param tools tools from elsewhere; null for those of the object, if any
     * @param values values from elsewhere, which go before those of the object
     * @throws BadDatasetException if the JSON is of another form
     */
    public static ChatRequest request(JsonNode json, @Nullable JsonNode tools, Map<String, ?> values, String where) {
        Map<String, @Nullable Object> all = new LinkedHashMap<>();
        JsonNode messages = json;
        if (json.isObject()) {
            messages = json.path("messages");
            json.properties().forEach(entry -> all.put(entry.getKey(), java(entry.getValue())));
            json.path("chat_template_kwargs")
                    .properties()
                    .forEach(entry -> all.put(entry.getKey(), java(entry.getValue())));
            List.of("messages", "chat_template_kwargs", "prompt", "template", "model", "id")
                    .forEach(all::remove);
            List.of("max_tokens", "temperature", "top_p", "top_k", "seed").forEach(all::remove);
        }
        if (!messages.isArray()) {
            throw new BadDatasetException(
                    where + ": expected a list of messages, as [{\"role\": \"user\", \"content\": \"Hi\"}],"
                            + " or an object with \"messages\"");
        }
        for (JsonNode message : messages) {
            if (!message.isObject() || !message.path("role").isTextual()) {
                throw new BadDatasetException(
                        where + ": each message is an object with a \"role\"; found " + shortly(message));
            }
        }
        all.putAll(values);
        if (tools != null) {
            all.put("tools", java(tools));
        }
        List<?> given = list(all.remove("tools"), "tools", where);
        List<?> documents = list(all.remove("documents"), "documents", where);
        Object prompt = all.remove("add_generation_prompt");
        boolean generation = !(prompt instanceof Boolean wanted) || wanted;
        if (all.containsKey("messages")) {
            throw new BadDatasetException(where + ": \"messages\" cannot be set as a value");
        }
        return new ChatRequest(JSON.convertValue(messages, List.class), given, documents, generation, all);
    }

    private static @Nullable List<?> list(@Nullable Object value, String name, String where) {
        if (value == null || value instanceof List<?>) {
            return (List<?>) value;
        }
        throw new BadDatasetException(where + ": \"" + name + "\" must be a list");
    }

    private static String shortly(JsonNode json) {
        String text = json.toString();
        return text.length() > 60 ? text.substring(0, 60) + "…" : text;
    }
}
