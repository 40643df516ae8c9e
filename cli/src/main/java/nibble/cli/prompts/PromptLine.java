package nibble.cli.prompts;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.NullNode;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import nibble.cli.option.ConversationJson;
import nibble.datasets.BadDatasetException;
import nibble.engine.SamplingOptions;

/**
 * Holds a line of a file of prompts: an object with {@code prompt} or {@code messages}, and perhaps an {@code id} and
 * what differs from the command's options.
 *
 * @param where file and line, for messages
 * @param id as given, or null's node
 * @param json the whole object
 */
public record PromptLine(String where, JsonNode id, JsonNode json, SamplingOptions sampling, int maxNewTokens) {
    private static final Set<String> KEYS = Set.of(
            "id",
            "prompt",
            "messages",
            "tools",
            "documents",
            "chat_template_kwargs",
            "add_generation_prompt",
            "max_tokens",
            "temperature",
            "top_p",
            "top_k",
            "seed");

    /**
     * Reads all lines of a file; empty ones are left out.
     *
     * @throws BadDatasetException for a line that is none, named
     */
    public static List<PromptLine> read(Path file, SamplingOptions sampling, int maxNewTokens) {
        List<PromptLine> lines = new ArrayList<>();
        int number = 0;
        for (String line : ConversationJson.text(file).split("\n", -1)) {
            number++;
            if (!line.isBlank()) {
                lines.add(of(file + ": line " + number, line, sampling, maxNewTokens));
            }
        }
        if (lines.isEmpty()) {
            throw new BadDatasetException(file + ": has no line; expected {\"prompt\": \"…\"} a line");
        }
        return lines;
    }

    private static PromptLine of(String where, String line, SamplingOptions s, int maxNewTokens) {
        JsonNode json = ConversationJson.parse(line, where);
        if (!json.isObject() || json.has("prompt") == json.has("messages")) {
            throw new BadDatasetException(where + ": expected an object with either \"prompt\" or \"messages\"");
        }
        for (Map.Entry<String, JsonNode> entry : json.properties()) {
            if (!KEYS.contains(entry.getKey())) {
                throw new BadDatasetException(where + ": \"" + entry.getKey() + "\" is not known; known are "
                        + String.join(", ", KEYS.stream().sorted().toList()));
            }
        }
        if (json.has("prompt") && !json.get("prompt").isTextual()) {
            throw new BadDatasetException(where + ": \"prompt\" must be a text");
        }
        JsonNode id = json.has("id") ? json.get("id") : NullNode.getInstance();
        if (!id.isNull() && !id.isTextual() && !id.isIntegralNumber()) {
            throw new BadDatasetException(where + ": \"id\" must be a text or a whole number");
        }
        try {
            SamplingOptions sampling = new SamplingOptions(
                    number(where, json, "temperature", s.temperature()),
                    number(where, json, "top_p", s.topP()),
                    (int) whole(where, json, "top_k", s.topK()),
                    s.repetitionPenalty(),
                    whole(where, json, "seed", s.seed()));
            long tokens = whole(where, json, "max_tokens", maxNewTokens);
            if (tokens < 1 || tokens > Integer.MAX_VALUE) {
                throw new IllegalArgumentException("max_tokens " + tokens + " found, 1 or more expected");
            }
            return new PromptLine(where, id, json, sampling, (int) tokens);
        } catch (IllegalArgumentException e) {
            throw new BadDatasetException(where + ": " + e.getMessage(), e);
        }
    }

    private static double number(String where, JsonNode json, String key, double otherwise) {
        JsonNode value = json.path(key);
        if (value.isMissingNode() || value.isNull()) {
            return otherwise;
        }
        if (!value.isNumber()) {
            throw new BadDatasetException(where + ": \"" + key + "\" must be a number");
        }
        return value.asDouble();
    }

    private static long whole(String where, JsonNode json, String key, long otherwise) {
        JsonNode value = json.path(key);
        if (value.isMissingNode() || value.isNull()) {
            return otherwise;
        }
        if (!value.isIntegralNumber() || !value.canConvertToLong()) {
            throw new BadDatasetException(where + ": \"" + key + "\" must be a whole number");
        }
        return value.asLong();
    }
}
