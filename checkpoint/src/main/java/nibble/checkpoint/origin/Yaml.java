package nibble.checkpoint.origin;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.util.List;
import java.util.Map;
import java.util.regex.Pattern;

/**
 * Writes the YAML of a card: maps and lists in lines, every text in JSON's quotes, which are YAML's too whatever it
 * holds.
 */
public final class Yaml {
    private static final ObjectMapper JSON = new ObjectMapper();

    /** What needs no quotes in any version of YAML, is no number and no word for true, false or nothing. */
    private static final Pattern PLAIN =
            Pattern.compile("[a-z]+(?:-[a-z]+)+|gguf|transformers|nibble|awq|gptq|quantized");

    /**
     * Characters that YAML does not allow as they are: controls, line separators, a byte order mark, halves of pairs.
     */
    private static final Pattern FORBIDDEN = Pattern.compile(
            "[\\x7f-\\x9f\\u2028\\u2029\\ufeff\\ufffe\\uffff]|(?<![\\ud800-\\udbff])[\\udc00-\\udfff]|[\\ud800-\\udbff](?![\\udc00-\\udfff])");

    private Yaml() {}

    /** Returns a block of metadata with its two lines of {@code ---}. Empty texts, lists and maps are left out. */
    public static String block(Map<String, Object> values) {
        StringBuilder yaml = new StringBuilder("---\n");
        values.forEach((key, value) -> entry(yaml, "", key, value));
        return yaml.append("---").toString();
    }

    private static boolean isEmpty(Object value) {
        return value.equals("")
                || value instanceof List<?> list && list.isEmpty()
                || value instanceof Map<?, ?> map && map.isEmpty();
    }

    private static void entry(StringBuilder yaml, String indent, String key, Object value) {
        if (isEmpty(value)) {
            return;
        }
        yaml.append(indent).append(key).append(':');
        if (value instanceof Map<?, ?> map) {
            yaml.append('\n');
            map.forEach((inner, content) -> entry(yaml, indent + "  ", String.valueOf(inner), content));
        } else if (value instanceof List<?> list) {
            yaml.append('\n');
            list.forEach(item -> item(yaml, indent, item));
        } else {
            yaml.append(' ').append(scalar(value)).append('\n');
        }
    }

    private static void item(StringBuilder yaml, String indent, Object item) {
        if (!(item instanceof Map<?, ?> map)) {
            yaml.append(indent).append("- ").append(scalar(item)).append('\n');
            return;
        }
        StringBuilder inner = new StringBuilder();
        map.forEach((key, value) -> entry(inner, indent + "  ", String.valueOf(key), value));
        yaml.append(indent).append("- ").append(inner.substring(Math.min(inner.length(), indent.length() + 2)));
    }

    private static String scalar(Object value) {
        if (value instanceof Number || value instanceof Boolean) {
            return value.toString();
        }
        String text = value.toString();
        return PLAIN.matcher(text).matches() ? text : quoted(text);
    }

    private static String quoted(String text) {
        String valid = FORBIDDEN
                .matcher(text)
                .replaceAll(found -> Character.isSurrogate(found.group().charAt(0)) ? "\uFFFD" : found.group());
        try {
            String json = JSON.writeValueAsString(valid);
            return FORBIDDEN
                    .matcher(json)
                    .replaceAll(
                            found -> "\\\\u%04x".formatted((int) found.group().charAt(0)));
        } catch (JsonProcessingException e) {
            throw new IllegalArgumentException("not a JSON string", e);
        }
    }
}
