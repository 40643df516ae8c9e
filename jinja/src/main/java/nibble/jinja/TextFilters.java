package nibble.jinja;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import nibble.jinja.python.Arguments;
import nibble.jinja.python.Budget;
import nibble.jinja.python.CharacterCases;
import nibble.jinja.python.Markup;
import nibble.jinja.python.None;
import nibble.jinja.python.PercentFormat;
import nibble.jinja.python.PyDict;
import nibble.jinja.python.PyTuple;
import nibble.jinja.python.PythonException;
import nibble.jinja.python.Repr;
import nibble.jinja.python.Text;
import nibble.jinja.python.Undefined;
import nibble.jinja.python.Values;

/** Filters that change a text. */
final class TextFilters {
    private TextFilters() {}

    static void add(Map<String, Filters.Filter> all) {
        for (String method : List.of("upper", "lower", "capitalize")) {
            all.put(method, (value, arguments) -> method(soft(value), method, arguments));
        }
        all.put("trim", (value, arguments) -> {
            Object characters = arguments.bind("trim", "chars?").get("chars", None.NONE);
            return method(soft(value), "strip", Arguments.of(characters));
        });
        all.put(
                "center",
                (value, arguments) -> method(
                        soft(value),
                        "center",
                        Arguments.of(
                                arguments.bind("center", "width?").get("width", java.math.BigInteger.valueOf(80)))));
        all.put("replace", (value, arguments) -> {
            Arguments.Bound bound = arguments.bind("replace", "old", "new", "count?");
            Object count = bound.get("count", None.NONE);
            return method(
                    Repr.str(value),
                    "replace",
                    Arguments.of(
                            Repr.str(bound.get("old", "")),
                            Repr.str(bound.get("new", "")),
                            count == None.NONE ? java.math.BigInteger.ONE.negate() : count));
        });
        all.put("title", (value, arguments) -> title(value, arguments));
        all.put("string", (value, arguments) -> soft(none("string", value, arguments)));
        all.put("safe", (value, arguments) -> safe(none("safe", value, arguments)));
        all.put("e", (value, arguments) -> Markup.escape(none("escape", value, arguments)));
        all.put("escape", (value, arguments) -> Markup.escape(none("escape", value, arguments)));
        all.put("forceescape", (value, arguments) -> Markup.escape(Repr.str(none("forceescape", value, arguments))));
        all.put("striptags", (value, arguments) -> withoutTags(Repr.str(none("striptags", value, arguments))));
        all.put("format", TextFilters::format);
        all.put("urlencode", TextFilters::urlencode);
        all.put("xmlattr", TextFilters::xmlAttributes);
    }

    private static Object none(String filter, Object value, Arguments arguments) {
        arguments.bind(filter);
        return value;
    }

    /** Jinja's soft_str: a text stays what it is, marked or not. */
    static Object soft(Object value) {
        return Values.isText(value) ? value : Repr.str(value);
    }

    private static Object safe(Object value) {
        return value instanceof Markup ? value : new Markup(Repr.str(value));
    }

    /** Calls one of str's methods. */
    static Object method(Object text, String name, Arguments arguments) {
        return Evaluator.call(nibble.jinja.python.Attributes.dot(text, name), arguments);
    }

    private static Object title(Object value, Arguments arguments) {
        arguments.bind("title");
        String text = Repr.str(value);
        StringBuilder out = new StringBuilder();
        int word = 0;
        for (int i = 0; i <= text.length(); i++) {
            boolean between =
                    i < text.length() && (Text.isSpace(text.charAt(i)) || "-({[<".indexOf(text.charAt(i)) >= 0);
            if (between || i == text.length()) {
                String part = text.substring(word, i);
                if (!part.isEmpty()) {
                    int first = Character.charCount(part.codePointAt(0));
                    out.append(CharacterCases.upper(part.substring(0, first)))
                            .append(CharacterCases.lower(part.substring(first)));
                }
                out.append(between ? String.valueOf(text.charAt(i)) : "");
                word = i + 1;
            }
        }
        Budget.characters(out.length());
        return out.toString();
    }

    private static Object format(Object value, Arguments arguments) {
        if (!arguments.positional().isEmpty() && !arguments.named().isEmpty()) {
            throw Filters.wrong("can't handle positional and keyword arguments at the same time");
        }
        Object values = new PyTuple(arguments.positional());
        if (!arguments.named().isEmpty()) {
            PyDict named = new PyDict();
            arguments.named().forEach(named::put);
            values = named;
        }
        Object format = soft(value);
        String text = PercentFormat.format(format.toString(), values, format instanceof Markup);
        return format instanceof Markup ? new Markup(text) : text;
    }

    private static String withoutTags(String text) {
        StringBuilder plain = new StringBuilder();
        int at = 0;
        for (int start = text.indexOf('<'); start >= 0; start = text.indexOf('<', at)) {
            boolean comment = text.startsWith("<!--", start);
            int end = comment ? text.indexOf("-->", start + 4) : text.indexOf('>', start);
            if (end < 0) {
                break;
            }
            plain.append(text, at, start);
            at = end + (comment ? 3 : 1);
        }
        plain.append(text, at, text.length());
        Object words = method(plain.toString(), "split", Arguments.NONE);
        return Entities.replaced(method(" ", "join", Arguments.of(words)).toString());
    }

    private static Object urlencode(Object value, Arguments arguments) {
        arguments.bind("urlencode");
        if (Values.isText(value) || !Values.isIterable(value)) {
            return quoted(value, false);
        }
        Object pairs = value instanceof PyDict dict ? method(dict, "items", Arguments.NONE) : value;
        List<String> parts = new ArrayList<>();
        for (Object pair : Values.list(pairs)) {
            List<Object> both = Values.list(pair);
            if (both.size() != 2) {
                throw new PythonException(PythonException.Kind.VALUE, "urlencode takes pairs");
            }
            parts.add(quoted(both.get(0), true) + "=" + quoted(both.get(1), true));
        }
        return Text.join("&", parts);
    }

    private static String quoted(Object value, boolean query) {
        StringBuilder out = new StringBuilder();
        for (byte one : Repr.str(value).getBytes(StandardCharsets.UTF_8)) {
            char c = (char) (one & 0xff);
            boolean plain = c < 128 && Character.isLetterOrDigit(c) || "_.-~".indexOf(c) >= 0 || c == '/' && !query;
            out.append(plain ? String.valueOf(c) : query && c == ' ' ? "+" : String.format("%%%02X", (int) c));
        }
        Budget.characters(out.length());
        return out.toString();
    }

    private static Object xmlAttributes(Object value, Arguments arguments) {
        boolean space = arguments.bind("xmlattr", "autospace?").truth("autospace", true);
        if (!(value instanceof PyDict dict)) {
            throw new PythonException(PythonException.Kind.ATTRIBUTE, "xmlattr takes a dict");
        }
        List<String> parts = new ArrayList<>();
        for (PyDict.Entry entry : dict.entries()) {
            if (entry.value() == None.NONE || entry.value() instanceof Undefined) {
                continue;
            }
            if (!Values.isText(entry.key())) {
                throw new PythonException(PythonException.Kind.TYPE, "expected string as attribute name");
            }
            if (entry.key()
                    .toString()
                    .chars()
                    .anyMatch(c -> c == ' ' || c >= 9 && c <= 13 || c == '/' || c == '>' || c == '=')) {
                throw new PythonException(PythonException.Kind.VALUE, "Invalid character in attribute name");
            }
            parts.add(Markup.escape(entry.key()) + "=\"" + Markup.escape(entry.value()) + "\"");
        }
        String text = Text.join(" ", parts);
        return space && !text.isEmpty() ? " " + text : text;
    }
}
