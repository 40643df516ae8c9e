package nibble.checkpoint.source;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/** Reads a configuration object's keys, typed and bounded; every error names file, key, found and expected. */
public record ConfigKeys(Path file, ObjectNode json, String prefix) {

    /** Returns the value of a key; an absent key and JSON null are the same. */
    public Optional<JsonNode> value(String key) {
        JsonNode value = json.get(key);
        return value == null || value.isNull() ? Optional.empty() : Optional.of(value);
    }

    public int integer(String key, int least, int most) {
        return integerIfPresent(key, least, most).orElseThrow(() -> missing(key));
    }

    public Optional<Integer> integerIfPresent(String key, int least, int most) {
        return value(key).map(value -> bounded(key, value, least, most));
    }

    /** Returns a key that may hold one integer, a list of integers, or nothing. */
    public List<Integer> integers(String key, int least, int most) {
        List<Integer> found = new ArrayList<>();
        value(key).ifPresent(value -> {
            if (value.isArray()) {
                value.forEach(element -> found.add(bounded(key, element, least, most)));
            } else {
                found.add(bounded(key, value, least, most));
            }
        });
        return List.copyOf(found);
    }

    public double number(String key, double least, double most) {
        return numberIfPresent(key, least, most).orElseThrow(() -> missing(key));
    }

    public Optional<Double> numberIfPresent(String key, double least, double most) {
        return value(key).map(value -> {
            double number = value.isNumber() ? value.doubleValue() : Double.NaN;
            if (!(number >= least && number <= most)) {
                throw wrong(key, value, "a number from " + least + " to " + most);
            }
            return number;
        });
    }

    public Optional<String> text(String key) {
        return value(key).map(value -> {
            if (!value.isTextual()) {
                throw wrong(key, value, "a string");
            }
            return value.textValue();
        });
    }

    public boolean flag(String key, boolean otherwise) {
        return value(key)
                .map(value -> {
                    if (!value.isBoolean()) {
                        throw wrong(key, value, "true or false");
                    }
                    return value.booleanValue();
                })
                .orElse(otherwise);
    }

    public Optional<ObjectNode> object(String key) {
        return value(key).map(value -> {
            if (!(value instanceof ObjectNode object)) {
                throw wrong(key, value, "an object or null");
            }
            return object;
        });
    }

    public BadCheckpointException missing(String key) {
        return new BadCheckpointException(
                file, "key \"" + prefix + key + "\" is missing; take the model's original config.json");
    }

    public BadCheckpointException wrong(String key, JsonNode found, String expected) {
        return new BadCheckpointException(
                file,
                "key \"" + prefix + key + "\" is " + shown(found) + ", expected " + expected
                        + "; take the model's original config.json");
    }

    /** Returns a value for a message, cut where it is long. */
    public static String shown(JsonNode value) {
        String shown = value.toString();
        return shown.length() > 60 ? shown.substring(0, 60) + "..." : shown;
    }

    private int bounded(String key, JsonNode value, int least, int most) {
        if (!value.isIntegralNumber()
                || !value.canConvertToInt()
                || value.intValue() < least
                || value.intValue() > most) {
            throw wrong(key, value, "an integer from " + least + " to " + most);
        }
        return value.intValue();
    }
}
