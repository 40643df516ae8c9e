package nibble.serve.api;

import com.fasterxml.jackson.core.type.TypeReference;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * Holds a request to {@code /v1/chat/completions}.
 *
 * @param conversation the messages
 * @param alternatives likeliest tokens to report with each token; -1 reports no log-probabilities
 */
public record ChatCall(TextOptions options, Conversation conversation, int alternatives) {
    private static final ObjectMapper JSON = new ObjectMapper();
    private static final Set<String> ROLES = Set.of("system", "developer", "user", "assistant", "tool", "function");

    /**
     * Holds what a template is given.
     *
     * @param messages in the form of OpenAI's API; {@code content} is a string wherever it is there
     * @param generationPrompt whether the text ends where the assistant speaks
     * @param continueFinal whether the text ends inside the last message, for the model to continue it
     * @param specialTokens whether what the tokenizer puts in front of a text leads the template's too
     * @param values further values for the template
     */
    public record Conversation(
            List<Map<String, @Nullable Object>> messages,
            boolean generationPrompt,
            boolean continueFinal,
            boolean specialTokens,
            Map<String, @Nullable Object> values) {}

    /**
     * Reads a body.
     *
     * @throws ApiException if a field is missing, of a wrong type, out of range or not supported
     */
    public static ChatCall read(ObjectNode body, int vocabulary) {
        Fields fields = new Fields(body);
        TextOptions options = TextOptions.read(fields, vocabulary, 1);
        boolean none = fields.node("tool_choice")
                .map(node -> node.asText().equals("none"))
                .orElse(false);
        if (!none) {
            fields.refuse("tools", "the model calls no tools; leave them out, or give \"tool_choice\": \"none\"");
            fields.refuse("functions", "the model calls no functions; leave them out");
        }
        fields.refuse("chat_template", "the server's own template holds; see --chat-template");
        fields.refuse("echo", "a chat answer has no prompt in it; use /v1/completions");
        fields.node("modalities").ifPresent(node -> {
            if (!node.isArray() || node.size() != 1 || !node.path(0).asText().equals("text")) {
                throw ApiException.unsupported("modalities", "modalities other than [\"text\"] are not supported");
            }
        });
        boolean logprobs = fields.flag("logprobs", false);
        int alternatives =
                fields.integer("top_logprobs", 0, TextOptions.MOST_ALTERNATIVES).orElse(-1);
        if (alternatives > 0 && !logprobs) {
            throw ApiException.invalid("top_logprobs", "top_logprobs needs \"logprobs\": true");
        }
        return new ChatCall(options, conversation(body), logprobs ? Math.max(0, alternatives) : -1);
    }

    /** Reads the fields that make the text a model is given; {@code /tokenize} has them too. */
    public static Conversation conversation(ObjectNode body) {
        Fields fields = new Fields(body);
        boolean continued = fields.flag("continue_final_message", false);
        boolean prompt = fields.flag("add_generation_prompt", !continued);
        if (continued && prompt) {
            throw ApiException.invalid(
                    "continue_final_message",
                    "continue_final_message and add_generation_prompt exclude each other; set one to false");
        }
        Map<String, @Nullable Object> values = new LinkedHashMap<>();
        fields.node("chat_template_kwargs").ifPresent(node -> {
            if (!node.isObject()) {
                throw fields.wrong("chat_template_kwargs", "an object", node);
            }
            values.putAll(JSON.convertValue(node, new TypeReference<Map<String, @Nullable Object>>() {}));
        });
        return new Conversation(messages(fields), prompt, continued, fields.flag("add_special_tokens", false), values);
    }

    private static List<Map<String, @Nullable Object>> messages(Fields fields) {
        JsonNode node = fields.node("messages")
                .orElseThrow(() -> ApiException.invalid("messages", "messages is missing; give a list of messages"));
        if (!node.isArray()) {
            throw fields.wrong("messages", "a list of messages", node);
        }
        if (node.isEmpty()) {
            throw ApiException.invalid("messages", "messages is empty; at least one message is needed");
        }
        List<Map<String, @Nullable Object>> messages = new ArrayList<>();
        for (int i = 0; i < node.size(); i++) {
            messages.add(message(fields, "messages[" + i + "]", node.get(i)));
        }
        return messages;
    }

    private static Map<String, @Nullable Object> message(Fields fields, String where, JsonNode message) {
        if (!message.isObject()) {
            throw fields.wrong(where, "an object with role and content", message);
        }
        JsonNode role = message.path("role");
        if (!role.isTextual() || !ROLES.contains(role.textValue())) {
            throw ApiException.invalid(
                    where + ".role",
                    where + ".role: expected one of system, developer, user, assistant, tool; found "
                            + (role.isMissingNode() ? "none" : "another"));
        }
        Map<String, @Nullable Object> values =
                JSON.convertValue(message, new TypeReference<LinkedHashMap<String, @Nullable Object>>() {});
        // Templates know no developer; OpenAI's models read such a message as the system's.
        values.put("role", role.textValue().equals("developer") ? "system" : role.textValue());
        JsonNode content = message.path("content");
        boolean calls = message.hasNonNull("tool_calls") || message.hasNonNull("function_call");
        if (!(content.isMissingNode() || content.isNull()) || !calls) {
            values.put("content", text(fields, where + ".content", content));
        }
        return values;
    }

    /** Parts of type text are lines of one text. */
    private static String text(Fields fields, String where, JsonNode content) {
        if (content.isTextual()) {
            return fields.paired(where, content.textValue());
        }
        if (content.isArray() && !content.isEmpty()) {
            List<String> parts = new ArrayList<>();
            for (JsonNode part : content) {
                if (!part.path("type").asText().equals("text")
                        || !part.path("text").isTextual()) {
                    throw ApiException.invalid(
                            where, where + ": the model reads text alone; expected parts of {\"type\": \"text\"}");
                }
                parts.add(fields.paired(where, part.path("text").textValue()));
            }
            return String.join("\n", parts);
        }
        throw ApiException.invalid(where, where + ": expected a string or a list of parts of {\"type\": \"text\"}");
    }
}
