package nibble.serve.api;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.OptionalLong;
import java.util.Set;

/** Reads the fields of an object; a field that is null counts as absent, one of a wrong type is refused. */
public final class Fields {
    private static final int SHOWN = 60;

    private final ObjectNode json;
    private final String path;

    public Fields(ObjectNode json) {
        this(json, "");
    }

    private Fields(ObjectNode json, String path) {
        this.json = json;
        this.path = path;
    }

    /** Returns a field, unless it is absent or null. */
    public Optional<JsonNode> node(String name) {
        JsonNode node = json.path(name);
        return node.isMissingNode() || node.isNull() ? Optional.empty() : Optional.of(node);
    }

    /** Returns an object inside. */
    public Optional<Fields> object(String name) {
        return node(name).map(node -> {
            if (node instanceof ObjectNode object) {
                return new Fields(object, path + name + ".");
            }
            throw wrong(name, "an object", node);
        });
    }

    public boolean flag(String name, boolean otherwise) {
        return node(name)
                .map(node -> {
                    if (node.isBoolean()) {
                        return node.booleanValue();
                    }
                    throw wrong(name, "true or false", node);
                })
                .orElse(otherwise);
    }

    public Optional<String> text(String name) {
        return node(name).map(node -> {
            if (node.isTextual()) {
                return paired(name, node.textValue());
            }
            throw wrong(name, "a string", node);
        });
    }

    /** Returns a number from {@code least} to {@code most}. */
    public OptionalInt integer(String name, int least, int most) {
        OptionalLong value = whole(name, least, most);
        return value.isPresent() ? OptionalInt.of((int) value.getAsLong()) : OptionalInt.empty();
    }

    /** Does what {@link #integer} does, of 64 bits. */
    public OptionalLong whole(String name, long least, long most) {
        Optional<JsonNode> node = node(name);
        if (node.isEmpty()) {
            return OptionalLong.empty();
        }
        return OptionalLong.of(whole(name, node.get(), least, most));
    }

    private long whole(String name, JsonNode node, long least, long most) {
        boolean integral = node.isIntegralNumber()
                || node.isDouble()
                        && node.doubleValue() == Math.rint(node.doubleValue())
                        && Math.abs(node.doubleValue()) < 1L << 53;
        if (!integral) {
            throw wrong(name, "an integer", node);
        }
        if (!node.canConvertToLong() || node.longValue() < least || node.longValue() > most) {
            throw ApiException.invalid(
                    path + name,
                    path + name + " is " + shown(node) + "; expected "
                            + (most == Integer.MAX_VALUE || most == Long.MAX_VALUE
                                    ? least + " or more"
                                    : least + " to " + most));
        }
        return node.longValue();
    }

    /** Returns a number from {@code least} to {@code most}. */
    public double number(String name, double least, double most, double otherwise) {
        return node(name)
                .map(node -> {
                    if (!node.isNumber()) {
                        throw wrong(name, "a number", node);
                    }
                    double value = node.doubleValue();
                    if (!(value >= least && value <= most)) {
                        throw ApiException.invalid(
                                path + name,
                                path + name + " is " + shown(node) + "; expected "
                                        + (most == Double.MAX_VALUE ? least + " or more" : least + " to " + most));
                    }
                    return value;
                })
                .orElse(otherwise);
    }

    /** Returns a string or a list of strings, none of them empty. */
    public List<String> texts(String name, int most) {
        List<String> found = new ArrayList<>();
        node(name).ifPresent(node -> {
            if (node.isTextual()) {
                found.add(paired(name, node.textValue()));
            } else if (node.isArray()) {
                node.forEach(item -> {
                    if (!item.isTextual()) {
                        throw wrong(name, "a string or a list of strings", item);
                    }
                    found.add(paired(name, item.textValue()));
                });
            } else {
                throw wrong(name, "a string or a list of strings", node);
            }
        });
        if (found.size() > most) {
            throw ApiException.invalid(path + name, path + name + " has " + found.size() + " texts; at most " + most);
        }
        if (found.contains("")) {
            throw ApiException.invalid(path + name, path + name + " holds an empty string, which ends every text");
        }
        return found;
    }

    /** Returns token ids below {@code vocabulary}. */
    public Set<Integer> ids(String name, int vocabulary) {
        Set<Integer> found = new LinkedHashSet<>();
        node(name).ifPresent(node -> {
            if (!node.isArray()) {
                throw wrong(name, "a list of token ids", node);
            }
            for (int id : ids(name, node, vocabulary)) {
                found.add(id);
            }
        });
        return found;
    }

    /** Returns the ids of a list. */
    public int[] ids(String name, JsonNode list, int vocabulary) {
        int[] ids = new int[list.size()];
        for (int i = 0; i < ids.length; i++) {
            JsonNode item = list.get(i);
            if (!item.isIntegralNumber()) {
                throw wrong(name, "token ids", item);
            }
            if (!item.canConvertToInt() || item.intValue() < 0 || item.intValue() >= vocabulary) {
                throw ApiException.invalid(
                        path + name,
                        "token id " + shown(item) + " is out of vocabulary; the model has " + vocabulary + " tokens");
            }
            ids[i] = item.intValue();
        }
        return ids;
    }

    /** Refuses a field that changes what is generated and is not implemented, unless it is empty. */
    public void refuse(String name, String why) {
        node(name).filter(Fields::asksForSomething).ifPresent(node -> {
            throw ApiException.unsupported(path + name, path + name + " is not supported: " + why);
        });
    }

    private static boolean asksForSomething(JsonNode node) {
        return switch (node.getNodeType()) {
            case STRING -> !node.textValue().isEmpty();
            case BOOLEAN -> node.booleanValue();
            case ARRAY, OBJECT -> !node.isEmpty();
            default -> true;
        };
    }

    /** Half a surrogate pair has no form in UTF-8, so no tokenizer takes it. */
    String paired(String name, String text) {
        for (int i = 0; i < text.length(); i++) {
            if (Character.isSurrogate(text.charAt(i))) {
                if (Character.isHighSurrogate(text.charAt(i))
                        && i + 1 < text.length()
                        && Character.isLowSurrogate(text.charAt(i + 1))) {
                    i++;
                } else {
                    throw ApiException.invalid(
                            path + name,
                            "%s%s has half a surrogate pair (U+%04X)".formatted(path, name, (int) text.charAt(i)));
                }
            }
        }
        return text;
    }

    ApiException wrong(String name, String expected, JsonNode found) {
        return ApiException.invalid(
                path + name, path + name + ": expected " + expected + ", found " + kind(found) + " " + shown(found));
    }

    private static String kind(JsonNode node) {
        return switch (node.getNodeType()) {
            case STRING -> "the string";
            case NUMBER -> "the number";
            case ARRAY -> "the list";
            case OBJECT -> "the object";
            default -> "";
        };
    }

    private static String shown(JsonNode node) {
        String text = node.toString();
        return text.length() <= SHOWN ? text : text.substring(0, text.offsetByCodePoints(0, SHOWN / 2)) + "…";
    }
}
