package nibble.jinja.python;

import java.math.BigInteger;
import java.util.Locale;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** Python's format specifications, as {@code >8.2f}. */
final class FormatSpec {
    private static final Pattern SHAPE = Pattern.compile(
            "(?:(.)?([<>=^]))?([-+ ])?(z)?(#)?(0)?(\\d{1,9})?([,_])?(?:\\.(\\d{1,9}))?([a-zA-Z%])?", Pattern.DOTALL);

    private final String fill;
    private final char align;
    private final char sign;
    private final boolean alternate;
    private final int width;
    private final String grouping;
    private final int precision;
    private final char type;

    private FormatSpec(Matcher spec) {
        boolean zero = spec.group(6) != null;
        this.fill = spec.group(1) != null ? spec.group(1) : zero ? "0" : " ";
        this.align = spec.group(2) != null ? spec.group(2).charAt(0) : zero ? '=' : ' ';
        this.sign = spec.group(3) == null ? '-' : spec.group(3).charAt(0);
        this.alternate = spec.group(5) != null;
        this.width = spec.group(7) == null ? 0 : Integer.parseInt(spec.group(7));
        this.grouping = spec.group(8) == null ? "" : spec.group(8);
        this.precision = spec.group(9) == null ? -1 : Integer.parseInt(spec.group(9));
        this.type = spec.group(10) == null ? ' ' : spec.group(10).charAt(0);
    }

    /** Python's {@code format(value, spec)}. */
    static String format(Object value, String spec) {
        if (spec.isEmpty()) {
            return Repr.str(value);
        }
        Matcher matcher = SHAPE.matcher(spec);
        if (!matcher.matches()) {
            throw PythonException.value("Invalid format specifier");
        }
        FormatSpec form = new FormatSpec(matcher);
        return switch (value) {
            case String text -> form.text(text);
            case Markup markup -> form.text(markup.text());
            case Double number -> form.real(number);
            case BigInteger number -> form.whole(number);
            case Boolean truth -> form.whole(Numbers.whole(truth));
            default ->
                throw PythonException.type(
                        "unsupported format string passed to " + Values.typeName(value) + ".__format__");
        };
    }

    private PythonException unknown(String what) {
        return PythonException.value("Unknown format code '" + type + "' for object of type '" + what + "'");
    }

    private String text(String text) {
        if (type != ' ' && type != 's') {
            throw unknown("str");
        }
        if (align == '=' || sign != '-' || alternate || !grouping.isEmpty()) {
            throw PythonException.value("not allowed in string format specifier");
        }
        String cut = precision >= 0 && precision < Text.length(text) ? Text.part(text, 0, precision) : text;
        return padded("", cut, '<');
    }

    private String whole(BigInteger number) {
        if ("eEfFgG%".indexOf(type) >= 0) {
            return real(Numbers.real(number));
        }
        if (precision >= 0) {
            throw PythonException.value("Precision not allowed in integer format specifier");
        }
        BigInteger size = number.abs();
        String digits = switch (type) {
            case ' ', 'd', 'n' -> Numbers.decimal(size);
            case 'b' -> size.toString(2);
            case 'o' -> size.toString(8);
            case 'x' -> size.toString(16);
            case 'X' -> size.toString(16).toUpperCase(Locale.ROOT);
            case 'c' -> {
                if (!Character.isValidCodePoint(Numbers.index(number))) {
                    throw new PythonException(PythonException.Kind.OVERFLOW, "%c arg not in range(0x110000)");
                }
                yield Character.toString(number.intValue());
            }
            default -> throw unknown("int");
        };
        String prefix = alternate && "boxX".indexOf(type) >= 0 ? "0" + type : "";
        boolean decimal = type == ' ' || type == 'd' || type == 'n';
        if (grouping.equals(",") && !decimal) {
            throw PythonException.value("Cannot specify ',' with '" + type + "'");
        }
        return padded(signOf(number.signum() < 0) + prefix, grouped(digits, decimal ? 3 : 4, prefix.length()), '>');
    }

    private String signOf(boolean negative) {
        return negative ? "-" : sign == '-' ? "" : String.valueOf(sign);
    }

    private String real(double number) {
        boolean negative = number < 0 || number == 0 && 1 / number < 0;
        double size = Math.abs(number);
        String suffix = type == '%' ? "%" : "";
        String body;
        if (Double.isNaN(number) || Double.isInfinite(number)) {
            body = Double.isNaN(number) ? "nan" : "inf";
            body = Character.isUpperCase(type) ? body.toUpperCase(Locale.ROOT) : body;
            return padded(signOf(negative), body + suffix, '>');
        }
        body = switch (type) {
            case 'e', 'E', 'f', 'F', 'g', 'G' -> FloatDigits.of(size, type, precision < 0 ? 6 : precision, alternate);
            case '%' -> FloatDigits.of(size * 100, 'f', precision < 0 ? 6 : precision, alternate);
            case 'n' -> FloatDigits.of(size, 'g', precision < 0 ? 6 : precision, alternate);
            case ' ' -> {
                String shortest = precision < 0
                        ? Repr.real(size)
                        : FloatDigits.general(size, Math.max(1, precision), alternate, 1);
                yield shortest.matches("\\d+") ? shortest + ".0" : shortest;
            }
            default -> throw unknown("float");
        };
        int point = 0;
        while (point < body.length() && Character.isDigit(body.charAt(point))) {
            point++;
        }
        String rest = body.substring(point) + suffix;
        return padded(signOf(negative), grouped(body.substring(0, point), 3, rest.length()) + rest, '>');
    }

    /** Digits with separators; where zeros fill up, they are grouped as well. */
    private String grouped(String digits, int size, int others) {
        if (grouping.isEmpty()) {
            return digits;
        }
        StringBuilder out = new StringBuilder(digits);
        if (fill.equals("0") && align == '=') {
            int room = width - others - signOf(false).length();
            while (out.length() + (out.length() - 1) / size < room) {
                out.insert(0, '0');
                Budget.characters(1);
            }
        }
        for (int i = out.length() - size; i > 0; i -= size) {
            out.insert(i, grouping);
        }
        return out.toString();
    }

    private String padded(String before, String body, char otherwise) {
        int more = width - Text.length(before) - Text.length(body);
        if (more <= 0) {
            return before + body;
        }
        return switch (align == ' ' ? otherwise : align) {
            case '<' -> before + body + Text.repeat(fill, more);
            case '^' -> Text.repeat(fill, more / 2) + before + body + Text.repeat(fill, more - more / 2);
            case '=' -> before + Text.repeat(fill, more) + body;
            default -> Text.repeat(fill, more) + before + body;
        };
    }
}
