package nibble.eval.harness.functions;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** Reads what Python's {@code ast.literal_eval} reads: texts, numbers, truth values, lists, tuples and dicts. */
public final class PythonLiteral {
    private final String text;
    private int at;

    private PythonLiteral(String text) {
        this.text = text;
    }

    /**
     * Parses a text.
     *
     * @throws IllegalArgumentException if it is no literal
     */
    public static @Nullable Object of(String text) {
        PythonLiteral reader = new PythonLiteral(text.strip());
        Object value = reader.value(0);
        reader.spaces();
        if (reader.at < reader.text.length()) {
            throw reader.wrong();
        }
        return value;
    }

    private IllegalArgumentException wrong() {
        return new IllegalArgumentException("no Python literal at character " + at + " of: "
                + (text.length() > 200 ? text.substring(0, 200) + "…" : text));
    }

    private void spaces() {
        while (at < text.length() && Character.isWhitespace(text.charAt(at))) {
            at++;
        }
    }

    private boolean takes(char c) {
        spaces();
        if (at < text.length() && text.charAt(at) == c) {
            at++;
            return true;
        }
        return false;
    }

    private @Nullable Object value(int depth) {
        spaces();
        if (at >= text.length() || depth > 100) {
            throw wrong();
        }
        char c = text.charAt(at);
        return switch (c) {
            case '[' -> list(']', depth);
            case '(' -> list(')', depth);
            case '{' -> dict(depth);
            case '\'', '"' -> texts();
            default -> word();
        };
    }

    private List<@Nullable Object> list(char end, int depth) {
        at++;
        List<@Nullable Object> items = new ArrayList<>();
        while (!takes(end)) {
            items.add(value(depth + 1));
            if (!takes(',')) {
                if (takes(end)) {
                    break;
                }
                throw wrong();
            }
        }
        return items;
    }

    private Map<String, @Nullable Object> dict(int depth) {
        at++;
        Map<String, @Nullable Object> items = new LinkedHashMap<>();
        while (!takes('}')) {
            String key = String.valueOf(value(depth + 1));
            if (!takes(':')) {
                throw wrong();
            }
            items.put(key, value(depth + 1));
            if (!takes(',')) {
                if (takes('}')) {
                    break;
                }
                throw wrong();
            }
        }
        return items;
    }

    /** Texts side by side are one. */
    private String texts() {
        StringBuilder to = new StringBuilder();
        while (at < text.length() && (text.charAt(at) == '\'' || text.charAt(at) == '"')) {
            one(to);
            spaces();
        }
        return to.toString();
    }

    private void one(StringBuilder to) {
        char quote = text.charAt(at);
        String three = String.valueOf(quote).repeat(3);
        boolean isLong = text.startsWith(three, at);
        String end = isLong ? three : String.valueOf(quote);
        at += end.length();
        while (!text.startsWith(end, at)) {
            if (at >= text.length() || !isLong && text.charAt(at) == '\n') {
                throw wrong();
            }
            char c = text.charAt(at++);
            if (c == '\\') {
                escape(to);
            } else {
                to.append(c);
            }
        }
        at += end.length();
    }

    private void escape(StringBuilder to) {
        if (at >= text.length()) {
            throw wrong();
        }
        char c = text.charAt(at++);
        switch (c) {
            case 'n' -> to.append('\n');
            case 't' -> to.append('\t');
            case 'r' -> to.append('\r');
            case 'b' -> to.append('\b');
            case 'f' -> to.append('\f');
            case 'a' -> to.append('\u0007');
            case 'v' -> to.append('\u000b');
            case '\n' -> {}
            case '\\', '\'', '"' -> to.append(c);
            case 'x' -> code(to, 2);
            case 'u' -> code(to, 4);
            case 'U' -> code(to, 8);
            default -> to.append('\\').append(c);
        }
    }

    private void code(StringBuilder to, int digits) {
        if (at + digits > text.length()) {
            throw wrong();
        }
        to.appendCodePoint(Integer.parseInt(text.substring(at, at + digits), 16));
        at += digits;
    }

    private @Nullable Object word() {
        int begin = at;
        while (at < text.length() && ",]})':\" \n".indexOf(text.charAt(at)) < 0) {
            at++;
        }
        String word = text.substring(begin, at);
        return switch (word) {
            case "True" -> true;
            case "False" -> false;
            case "None" -> null;
            default -> number(word.replace("_", ""));
        };
    }

    private Object number(String word) {
        try {
            return word.matches("[+-]?(0+|[1-9][0-9]*)") ? (Object) Long.parseLong(word) : Double.parseDouble(word);
        } catch (NumberFormatException e) {
            throw wrong();
        }
    }
}
