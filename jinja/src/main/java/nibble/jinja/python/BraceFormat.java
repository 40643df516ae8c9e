package nibble.jinja.python;

import java.math.BigInteger;
import java.util.List;

/** Python's {@code str.format}, with the sandbox's rules for attributes and items. */
final class BraceFormat {
    private final List<Object> positional;
    private final PyDict named;
    private int automatic;

    BraceFormat(List<Object> positional, PyDict named) {
        this.positional = positional;
        this.named = named;
    }

    String format(String text) {
        return format(text, 2);
    }

    /** @param depth how many levels of fields within formats are still allowed */
    private String format(String text, int depth) {
        if (depth < 0) {
            throw PythonException.value("Max string recursion exceeded");
        }
        StringBuilder out = new StringBuilder();
        for (int i = 0; i < text.length(); i++) {
            char c = text.charAt(i);
            if (c != '{' && c != '}') {
                out.append(c);
                continue;
            }
            if (i + 1 < text.length() && text.charAt(i + 1) == c) {
                out.append(c);
                i++;
                continue;
            }
            if (c == '}') {
                throw PythonException.value("Single '}' encountered in format string");
            }
            int end = end(text, i + 1);
            String formatted = field(text.substring(i + 1, end), depth);
            Budget.characters(formatted.length());
            out.append(formatted);
            i = end;
        }
        Budget.characters(text.length());
        return out.toString();
    }

    private static int end(String text, int from) {
        int open = 1;
        boolean bracket = false;
        for (int i = from; i < text.length(); i++) {
            char c = text.charAt(i);
            bracket = c == '[' || bracket && c != ']';
            if (bracket) {
                continue;
            }
            open += c == '{' ? 1 : c == '}' ? -1 : 0;
            if (open == 0) {
                return i;
            }
        }
        throw PythonException.value(
                from == text.length()
                        ? "Single '{' encountered in format string"
                        : "expected '}' before end of string");
    }

    private String field(String field, int depth) {
        int end = 0;
        boolean bracket = false;
        while (end < field.length() && (bracket || field.charAt(end) != '!' && field.charAt(end) != ':')) {
            bracket = field.charAt(end) == '[' || bracket && field.charAt(end) != ']';
            end++;
        }
        Object value = value(field.substring(0, end));
        String rest = field.substring(end);
        if (rest.startsWith("!")) {
            if (rest.length() < 2 || rest.length() > 2 && rest.charAt(2) != ':') {
                throw PythonException.value("expected ':' after conversion specifier");
            }
            value = switch (rest.charAt(1)) {
                case 's' -> Repr.str(value);
                case 'r' -> Repr.repr(value);
                case 'a' -> PercentFormat.ascii(Repr.repr(value));
                default -> throw PythonException.value("Unknown conversion specifier " + rest.charAt(1));
            };
            rest = rest.substring(2);
        }
        return FormatSpec.format(value, rest.isEmpty() ? "" : format(rest.substring(1), depth - 1));
    }

    private Object value(String name) {
        int end = 0;
        while (end < name.length() && name.charAt(end) != '.' && name.charAt(end) != '[') {
            end++;
        }
        Object value = first(name.substring(0, end));
        while (end < name.length()) {
            if (name.charAt(end) == '[') {
                int close = name.indexOf(']', end);
                if (close < 0) {
                    throw PythonException.value("Missing ']' in format string");
                }
                String key = name.substring(end + 1, close);
                if (key.isEmpty()) {
                    throw PythonException.value("Empty attribute in format string");
                }
                value = Attributes.bracket(value, isDigits(key) ? new BigInteger(key) : key);
                end = close + 1;
            } else if (name.charAt(end) == '.') {
                int next = end + 1;
                while (next < name.length() && name.charAt(next) != '.' && name.charAt(next) != '[') {
                    next++;
                }
                if (next == end + 1) {
                    throw PythonException.value("Empty attribute in format string");
                }
                value = Attributes.dot(value, name.substring(end + 1, next));
                end = next;
            } else {
                throw PythonException.value("Only '.' or '[' may follow ']' in format field specifier");
            }
        }
        return value;
    }

    private Object first(String name) {
        boolean counted = name.isEmpty();
        if (counted && automatic < 0 || isDigits(name) && automatic > 0) {
            throw PythonException.value(
                    "cannot switch between manual field specification and automatic field numbering");
        }
        if (counted || isDigits(name)) {
            int index = counted ? automatic++ : Numbers.index(Numbers.parseInt(name, 10));
            automatic = counted ? automatic : -1;
            if (index >= positional.size()) {
                throw new PythonException(
                        PythonException.Kind.INDEX, "Replacement index " + index + " out of range for positional args");
            }
            return positional.get(index);
        }
        Object value = named.get(name);
        if (value == null) {
            throw new PythonException(PythonException.Kind.KEY, Repr.quoted(name));
        }
        return value;
    }

    private static boolean isDigits(String text) {
        return !text.isEmpty() && text.length() < 10 && text.chars().allMatch(c -> c >= '0' && c <= '9');
    }
}
