package nibble.jinja.python;

import java.math.BigInteger;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** Computes Python's {@code json.dumps}, which transformers takes for the filter {@code tojson}. */
public final class Json {
    private final StringBuilder out = new StringBuilder();
    private final boolean ascii;
    private final @Nullable String indent;
    private final String between;
    private final String colon;
    private final boolean sorted;

    private Json(Arguments.Bound options) {
        this.ascii = options.truth("ensure_ascii", false);
        this.sorted = options.truth("sort_keys", false);
        Object unit = options.get("indent", None.NONE);
        this.indent = unit == None.NONE
                ? null
                : Values.isText(unit) ? unit.toString() : Text.repeat(" ", Math.max(0, Numbers.index(unit)));
        Object separators = options.get("separators", None.NONE);
        if (separators == None.NONE) {
            this.between = indent == null ? ", " : ",";
            this.colon = ": ";
        } else {
            List<Object> both = Values.list(separators);
            if (both.size() != 2) {
                throw PythonException.value("separators must be two texts");
            }
            if (!Values.isText(both.get(0)) || !Values.isText(both.get(1))) {
                throw PythonException.type("separators must be texts");
            }
            this.between = both.get(0).toString();
            this.colon = both.get(1).toString();
        }
    }

    /**
     * Writes a value as JSON.
     *
     * @param options those of transformers' filter: ensure_ascii, indent, separators, sort_keys
     */
    public static String dumps(Object value, Arguments options) {
        Json json = new Json(options.bind("tojson", "ensure_ascii?", "indent?", "separators?", "sort_keys?"));
        json.append(value, 0);
        Budget.characters(json.out.length());
        return json.out.toString();
    }

    private void append(Object value, int depth) {
        Budget.step();
        if (depth > Values.MAX_DEPTH) {
            throw new PythonException(
                    PythonException.Kind.LIMIT, "writes JSON nested more than " + Values.MAX_DEPTH + " deep");
        }
        switch (value) {
            case None none -> out.append("null");
            case Boolean truth -> out.append(truth);
            case BigInteger number -> out.append(Numbers.decimal(number));
            case Double number -> out.append(real(number));
            case String text -> quoted(text);
            case Markup markup -> quoted(markup.text());
            case PyList list -> array(list.items(), depth);
            case PyTuple tuple -> array(tuple.items(), depth);
            case PyDict dict -> object(dict, depth);
            default ->
                throw PythonException.type("Object of type " + Values.typeName(value) + " is not JSON serializable");
        }
    }

    private static String real(double number) {
        return Double.isNaN(number)
                ? "NaN"
                : Double.isInfinite(number) ? (number > 0 ? "Infinity" : "-Infinity") : Repr.real(number);
    }

    private void line(int depth) {
        if (indent != null) {
            out.append('\n').append(Text.repeat(indent, depth));
        }
    }

    private void array(List<Object> items, int depth) {
        if (items.isEmpty()) {
            out.append("[]");
            return;
        }
        out.append('[');
        boolean first = true;
        for (Object item : items) {
            out.append(first ? "" : between);
            line(depth + 1);
            append(item, depth + 1);
            first = false;
        }
        line(depth);
        out.append(']');
    }

    private void object(PyDict dict, int depth) {
        if (dict.size() == 0) {
            out.append("{}");
            return;
        }
        List<PyDict.Entry> entries = new ArrayList<>(dict.entries());
        if (sorted) {
            entries.sort((a, b) -> Values.order(a.key(), b.key()));
        }
        out.append('{');
        boolean first = true;
        for (PyDict.Entry entry : entries) {
            out.append(first ? "" : between);
            line(depth + 1);
            quoted(key(entry.key()));
            out.append(colon);
            append(entry.value(), depth + 1);
            first = false;
        }
        line(depth);
        out.append('}');
    }

    private static String key(Object key) {
        return switch (key) {
            case String text -> text;
            case Markup markup -> markup.text();
            case Boolean truth -> truth.toString();
            case None none -> "null";
            case BigInteger number -> Numbers.decimal(number);
            case Double number -> real(number);
            default ->
                throw PythonException.type("keys must be str, int, float, bool or None, not " + Values.typeName(key));
        };
    }

    private void quoted(String text) {
        Budget.characters(text.length());
        out.append('"');
        for (int i = 0; i < text.length(); i++) {
            char c = text.charAt(i);
            switch (c) {
                case '"' -> out.append("\\\"");
                case '\\' -> out.append("\\\\");
                case '\n' -> out.append("\\n");
                case '\r' -> out.append("\\r");
                case '\t' -> out.append("\\t");
                case '\f' -> out.append("\\f");
                case '\b' -> out.append("\\b");
                default -> {
                    if (c < 0x20 || ascii && c > 0x7e) {
                        out.append(String.format("\\u%04x", (int) c));
                    } else {
                        out.append(c);
                    }
                }
            }
        }
        out.append('"');
    }
}
