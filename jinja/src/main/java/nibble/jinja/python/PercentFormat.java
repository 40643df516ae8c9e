package nibble.jinja.python;

import java.math.BigInteger;
import java.util.List;
import java.util.Locale;

/** Computes Python's {@code text % values}. */
public final class PercentFormat {
    private final String format;
    private final Object values;
    private final boolean marked;
    private final List<Object> items;
    private final StringBuilder out = new StringBuilder();
    private int at;
    private int next;

    private PercentFormat(String format, Object values, boolean marked) {
        this.format = format;
        this.values = values;
        this.marked = marked;
        this.items = values instanceof PyTuple tuple ? tuple.items() : List.of(values);
    }

    /**
     * Formats a text.
     *
     * @param marked whether values are escaped for HTML, because the format is marked as safe
     */
    public static String format(String format, Object values, boolean marked) {
        return new PercentFormat(format, values, marked).run();
    }

    private static PythonException incomplete() {
        return PythonException.value("incomplete format");
    }

    private String run() {
        boolean byKey = false;
        while (at < format.length()) {
            int percent = format.indexOf('%', at);
            out.append(format, at, percent < 0 ? format.length() : percent);
            if (percent < 0) {
                break;
            }
            at = percent + 1;
            byKey |= at < format.length() && format.charAt(at) == '(';
            directive();
            Budget.characters(1);
        }
        boolean mapping = values instanceof PyDict
                || values instanceof PyList
                || values instanceof PyRange
                || values instanceof Undefined;
        if (!byKey && next < items.size() && !mapping) {
            throw PythonException.type("not all arguments converted during string formatting");
        }
        Budget.characters(out.length());
        return out.toString();
    }

    private char take() {
        if (at >= format.length()) {
            throw incomplete();
        }
        return format.charAt(at++);
    }

    private Object argument() {
        if (next >= items.size()) {
            throw PythonException.type("not enough arguments for format string");
        }
        return items.get(next++);
    }

    private void directive() {
        Object keyed = null;
        char c = take();
        if (c == '(') {
            if (!(values instanceof PyDict dict)) {
                throw PythonException.type("format requires a mapping");
            }
            int begin = at;
            for (int open = 1; open > 0; ) {
                char inner = take();
                open += inner == '(' ? 1 : inner == ')' ? -1 : 0;
            }
            keyed = dict.get(format.substring(begin, at - 1));
            if (keyed == null) {
                throw new PythonException(PythonException.Kind.KEY, Repr.quoted(format.substring(begin, at - 1)));
            }
            c = take();
        }
        StringBuilder flags = new StringBuilder();
        while ("-+ #0".indexOf(c) >= 0) {
            flags.append(c);
            c = take();
        }
        int width = 0;
        if (c == '*') {
            width = Numbers.index(argument());
            if (width < 0) {
                flags.append('-');
                width = -width;
            }
            c = take();
        } else {
            at--;
            width = number();
            c = take();
        }
        int precision = -1;
        if (c == '.') {
            if (at < format.length() && format.charAt(at) == '*') {
                at++;
                precision = Math.max(0, Numbers.index(argument()));
            } else {
                precision = number();
            }
            c = take();
        }
        if (c == 'h' || c == 'l' || c == 'L') {
            c = take();
        }
        if (c == '%') {
            out.append('%');
            return;
        }
        Object value = keyed != null ? keyed : argument();
        out.append(convert(value, c, flags.toString(), width, precision));
    }

    private int number() {
        int begin = at;
        while (at < format.length() && format.charAt(at) >= '0' && format.charAt(at) <= '9') {
            at++;
        }
        if (at - begin > 8) {
            throw PythonException.value("width too big");
        }
        return at == begin ? 0 : Integer.parseInt(format.substring(begin, at));
    }

    private String convert(Object value, char type, String flags, int width, int precision) {
        switch (type) {
            case 's', 'r', 'a' -> {
                String text = type == 's' ? Repr.str(value) : type == 'r' ? Repr.repr(value) : ascii(Repr.repr(value));
                text = marked
                        ? Markup.escape(type == 's' && value instanceof Markup ? value : text)
                                .text()
                        : text;
                text = precision >= 0 && precision < Text.length(text) ? Text.part(text, 0, precision) : text;
                return StringMethods.padded(text, width, " ", flags.contains("-") ? 'l' : 'r');
            }
            case 'c' -> {
                String one = Values.isText(value) ? value.toString() : Character.toString(character(value));
                if (Text.length(one) != 1) {
                    throw PythonException.type("%c requires int or char");
                }
                return StringMethods.padded(one, width, " ", flags.contains("-") ? 'l' : 'r');
            }
            case 'd', 'i', 'u' -> {
                if (value instanceof Double number) {
                    return padded(Numbers.toInt(number), 'd', flags, width, precision);
                }
                return padded(whole(value, type), 'd', flags, width, precision);
            }
            case 'o', 'x', 'X' -> {
                return padded(whole(value, type), type, flags, width, precision);
            }
            case 'e', 'E', 'f', 'F', 'g', 'G' -> {
                Values.requireDefined(value);
                if (Values.isText(value)
                        || !(value instanceof Double || value instanceof BigInteger || value instanceof Boolean)) {
                    throw PythonException.type("must be real number, not " + Values.typeName(value));
                }
                return real(Numbers.real(value), type, flags, width, precision < 0 ? 6 : precision);
            }
            default -> throw PythonException.value("unsupported format character '" + type + "'");
        }
    }

    private static int character(Object value) {
        int point = Numbers.index(value);
        if (!Character.isValidCodePoint(point)) {
            throw new PythonException(PythonException.Kind.OVERFLOW, "%c arg not in range(0x110000)");
        }
        return point;
    }

    private static BigInteger whole(Object value, char type) {
        Values.requireDefined(value);
        if (value instanceof BigInteger || value instanceof Boolean) {
            return Numbers.whole(value);
        }
        throw PythonException.type("%" + type + " format: an integer is required, not " + Values.typeName(value));
    }

    private static String padded(BigInteger number, char type, String flags, int width, int precision) {
        BigInteger size = number.abs();
        String digits = switch (type) {
            case 'o' -> size.toString(8);
            case 'x' -> size.toString(16);
            case 'X' -> size.toString(16).toUpperCase(Locale.ROOT);
            default -> Numbers.decimal(size);
        };
        if (precision > digits.length()) {
            digits = Text.repeat("0", precision - digits.length()) + digits;
        }
        String prefix = flags.contains("#") && type != 'd' ? "0" + type : "";
        return aligned(sign(number.signum() < 0, flags) + prefix, digits, flags, width);
    }

    private static String real(double number, char type, String flags, int width, int precision) {
        String sign = sign(number < 0 || number == 0 && 1 / number < 0, flags);
        if (Double.isNaN(number) || Double.isInfinite(number)) {
            String name = Double.isNaN(number) ? "nan" : "inf";
            return aligned(sign, Character.isUpperCase(type) ? name.toUpperCase(Locale.ROOT) : name, flags, width);
        }
        return aligned(sign, FloatDigits.of(Math.abs(number), type, precision, flags.contains("#")), flags, width);
    }

    private static String sign(boolean negative, String flags) {
        return negative ? "-" : flags.contains("+") ? "+" : flags.contains(" ") ? " " : "";
    }

    private static String aligned(String sign, String body, String flags, int width) {
        int more = width - sign.length() - body.length();
        if (more <= 0) {
            return sign + body;
        }
        if (flags.contains("-")) {
            return sign + body + Text.repeat(" ", more);
        }
        return flags.contains("0") ? sign + Text.repeat("0", more) + body : Text.repeat(" ", more) + sign + body;
    }

    /** A text with everything beyond ASCII as Python's escapes. */
    static String ascii(String text) {
        StringBuilder out = new StringBuilder();
        text.codePoints()
                .forEach(point -> out.append(
                        point < 128
                                ? Character.toString(point)
                                : point < 0x100
                                        ? String.format("\\x%02x", point)
                                        : point < 0x10000
                                                ? String.format("\\u%04x", point)
                                                : String.format("\\U%08x", point)));
        return out.toString();
    }
}
