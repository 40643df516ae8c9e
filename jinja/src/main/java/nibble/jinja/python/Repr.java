package nibble.jinja.python;

import java.math.BigDecimal;
import java.math.BigInteger;
import java.math.MathContext;
import java.math.RoundingMode;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.List;
import java.util.function.Consumer;

/** Computes Python's {@code str} and {@code repr}. */
public final class Repr {
    private final StringBuilder out = new StringBuilder();

    /** What is being printed around the present value; a value within itself is printed as dots. */
    private final Deque<Object> around = new ArrayDeque<>();

    private Repr() {}

    /** Returns Python's {@code str(value)}. */
    public static String str(Object value) {
        return switch (value) {
            case String text -> text;
            case Markup markup -> markup.text();
            case Undefined undefined -> "";
            default -> repr(value);
        };
    }

    /** Returns Python's {@code repr(value)}. */
    public static String repr(Object value) {
        Repr repr = new Repr();
        repr.append(value);
        Budget.characters(repr.out.length());
        return repr.out.toString();
    }

    /** The same for a part of something that is being printed: an object of Jinja's own shows its values by it. */
    private void append(Object value) {
        Budget.step();
        if (out.length() > 32 << 20) {
            Budget.characters(Long.MAX_VALUE);
        }
        switch (value) {
            case None none -> out.append("None");
            case Boolean truth -> out.append(truth ? "True" : "False");
            case BigInteger number -> out.append(Numbers.decimal(number));
            case Double number -> out.append(real(number));
            case String text -> out.append(quoted(text));
            case Markup markup ->
                out.append("Markup(").append(quoted(markup.text())).append(')');
            case PyList list -> items("[", list.items(), "]", list);
            case PyTuple tuple -> items("(", tuple.items(), tuple.items().size() == 1 ? ",)" : ")", tuple);
            case PyDict dict -> nested(dict, "{...}", this::dict);
            case DictView view -> {
                out.append(Values.typeName(view)).append('(');
                items("[", view.items(), "]", view.dict());
                out.append(')');
            }
            case PyRange range -> {
                out.append("range(").append(range.start()).append(", ").append(range.stop());
                out.append(range.step() == 1 ? ")" : ", " + range.step() + ")");
            }
            case Undefined undefined -> out.append("Undefined");
            case PyObject object -> out.append(object.text());
            default -> out.append('<').append(Values.typeName(value)).append('>');
        }
    }

    private void items(String begin, List<Object> items, String end, Object whole) {
        nested(whole, begin + "..." + end, list -> {
            out.append(begin);
            String between = "";
            for (Object item : items) {
                out.append(between);
                append(item);
                between = ", ";
            }
            out.append(end);
        });
    }

    private void dict(PyDict dict) {
        out.append('{');
        String between = "";
        for (PyDict.Entry entry : dict.entries()) {
            out.append(between);
            append(entry.key());
            out.append(": ");
            append(entry.value());
            between = ", ";
        }
        out.append('}');
    }

    private <T> void nested(T value, String again, Consumer<T> print) {
        for (Object outer : around) {
            if (outer == value) {
                out.append(again);
                return;
            }
        }
        if (around.size() > Values.MAX_DEPTH) {
            throw new PythonException(
                    PythonException.Kind.LIMIT, "prints a value nested more than " + Values.MAX_DEPTH + " deep");
        }
        around.push(value);
        print.accept(value);
        around.pop();
    }

    /** The shortest digits that read back as the same float, in Python's forms. */
    static String real(double number) {
        if (Double.isNaN(number) || Double.isInfinite(number)) {
            return Double.isNaN(number) ? "nan" : number > 0 ? "inf" : "-inf";
        }
        String sign = number < 0 || 1 / number < 0 ? "-" : "";
        if (number == 0) {
            return sign + "0.0";
        }
        BigDecimal decimal = shortest(Math.abs(number)).stripTrailingZeros();
        String digits = decimal.unscaledValue().toString();
        // The number is 0.DIGITS times ten to this power.
        int point = digits.length() - decimal.scale();
        if (point > 16 || point < -3) {
            int exponent = point - 1;
            String fraction = digits.length() > 1 ? "." + digits.substring(1) : "";
            String power = (exponent < 0 ? "-" : "+") + (Math.abs(exponent) < 10 ? "0" : "") + Math.abs(exponent);
            return sign + digits.charAt(0) + fraction + "e" + power;
        }
        if (point <= 0) {
            return sign + "0." + "0".repeat(-point) + digits;
        }
        return digits.length() <= point
                ? sign + digits + "0".repeat(point - digits.length()) + ".0"
                : sign + digits.substring(0, point) + "." + digits.substring(point);
    }

    /** Java writes at least two digits, which matters to the smallest numbers alone. */
    private static BigDecimal shortest(double number) {
        BigDecimal oneDigit = new BigDecimal(number).round(new MathContext(1, RoundingMode.HALF_EVEN));
        return number < Double.MIN_NORMAL && oneDigit.doubleValue() == number
                ? oneDigit
                : new BigDecimal(Double.toString(number));
    }

    /** A text in Python's quotes. */
    static String quoted(String text) {
        Budget.look(text.length());
        char quote = text.indexOf('\'') >= 0 && text.indexOf('"') < 0 ? '"' : '\'';
        StringBuilder out = new StringBuilder(text.length() + 2).append(quote);
        text.codePoints().forEach(point -> {
            switch (point) {
                case '\n' -> out.append("\\n");
                case '\r' -> out.append("\\r");
                case '\t' -> out.append("\\t");
                case '\\' -> out.append("\\\\");
                default -> {
                    if (point == quote) {
                        out.append('\\').append(quote);
                    } else if (isPrintable(point)) {
                        out.appendCodePoint(point);
                    } else {
                        out.append(
                                point < 0x100
                                        ? String.format("\\x%02x", point)
                                        : point < 0x10000
                                                ? String.format("\\u%04x", point)
                                                : String.format("\\U%08x", point));
                    }
                }
            }
        });
        return out.append(quote).toString();
    }

    /** What {@code str.isprintable} says of one code point. */
    static boolean isPrintable(int point) {
        return switch (Character.getType(point)) {
            case Character.CONTROL,
                    Character.FORMAT,
                    Character.SURROGATE,
                    Character.PRIVATE_USE,
                    Character.UNASSIGNED,
                    Character.LINE_SEPARATOR,
                    Character.PARAGRAPH_SEPARATOR -> false;
            case Character.SPACE_SEPARATOR -> point == ' ';
            default -> true;
        };
    }
}
