package nibble.jinja;

import java.math.BigInteger;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import nibble.jinja.python.Arguments;
import nibble.jinja.python.Arithmetic;
import nibble.jinja.python.Budget;
import nibble.jinja.python.Markup;
import nibble.jinja.python.None;
import nibble.jinja.python.PythonException;
import nibble.jinja.python.Repr;
import nibble.jinja.python.Splitting;
import nibble.jinja.python.Subscript;
import nibble.jinja.python.Text;
import nibble.jinja.python.Values;

/** Filters that lay a text out in lines. */
final class LayoutFilters {
    private LayoutFilters() {}

    static void add(Map<String, Filters.Filter> all) {
        all.put("indent", LayoutFilters::indent);
        all.put("truncate", LayoutFilters::truncate);
        all.put("wordwrap", LayoutFilters::wordwrap);
        all.put("wordcount", (value, arguments) -> {
            arguments.bind("wordcount");
            return BigInteger.valueOf(words(Repr.str(value)));
        });
    }

    private static Object indent(Object value, Arguments arguments) {
        Arguments.Bound bound = arguments.bind("indent", "width?", "first?", "blank?");
        Object width = bound.get("width", BigInteger.valueOf(4));
        Object unit = Values.isText(width) ? width.toString() : Arithmetic.apply("*", " ", width);
        // Only texts can be added to, with the error of Python.
        Object whole = Arithmetic.apply("+", value, value instanceof Markup ? new Markup("\n") : "\n");
        List<Object> lines = Splitting.lines(whole.toString(), false);
        List<String> out = new ArrayList<>();
        for (Object line : lines) {
            boolean indented = out.isEmpty()
                    ? bound.truth("first", false)
                    : bound.truth("blank", false) || !line.toString().isEmpty();
            out.add(indented ? unit + line.toString() : line.toString());
            Budget.characters(unit.toString().length());
        }
        String text = Text.join("\n", out);
        return value instanceof Markup ? new Markup(text) : text;
    }

    private static Object truncate(Object value, Arguments arguments) {
        Arguments.Bound bound = arguments.bind("truncate", "length?", "killwords?", "end?", "leeway?");
        Object length = bound.get("length", BigInteger.valueOf(255));
        Object end = bound.get("end", "...");
        Object leeway = bound.get("leeway", None.NONE);
        leeway = leeway == None.NONE ? BigInteger.valueOf(5) : leeway;
        BigInteger endLength = BigInteger.valueOf(Values.length(end));
        if (!Values.compare(">=", length, endLength) || !Values.compare(">=", leeway, BigInteger.ZERO)) {
            throw new PythonException(PythonException.Kind.ASSERTION, "expected length >= " + endLength);
        }
        if (Values.compare("<=", BigInteger.valueOf(Values.length(value)), Arithmetic.apply("+", length, leeway))) {
            return value;
        }
        Object cut = Subscript.slice(value, None.NONE, Arithmetic.apply("-", length, endLength), None.NONE);
        if (!bound.truth("killwords", false)) {
            Object parts = TextFilters.method(cut, "rsplit", Arguments.of(" ", BigInteger.ONE));
            cut = Subscript.item(parts, BigInteger.ZERO);
        }
        return Arithmetic.apply("+", cut, end);
    }

    private static long words(String text) {
        Budget.steps(text.length() / 16);
        long words = 0;
        boolean within = false;
        for (int point : text.codePoints().toArray()) {
            boolean letter = Character.isLetterOrDigit(point)
                    || point == '_'
                    || Character.getType(point) == Character.OTHER_NUMBER
                    || Character.getType(point) == Character.LETTER_NUMBER;
            words += letter && !within ? 1 : 0;
            within = letter;
        }
        return words;
    }

    private static Object wordwrap(Object value, Arguments arguments) {
        Arguments.Bound bound =
                arguments.bind("wordwrap", "width?", "break_long_words?", "wrapstring?", "break_on_hyphens?");
        Object between = bound.get("wrapstring", None.NONE) == None.NONE ? "\n" : bound.text("wrapstring");
        Object lines = TextFilters.method(value, "splitlines", Arguments.NONE);
        List<String> out = new ArrayList<>();
        for (Object line : Values.list(lines)) {
            int width = bound.integer("width", 79);
            if (width <= 0) {
                throw new PythonException(PythonException.Kind.VALUE, "invalid width " + width + " (must be > 0)");
            }
            List<String> wrapped = new WordWrap(
                            width, bound.truth("break_long_words", true), bound.truth("break_on_hyphens", true))
                    .lines(line.toString());
            out.add(Text.join(between.toString(), wrapped));
        }
        return Text.join(between.toString(), out);
    }
}
