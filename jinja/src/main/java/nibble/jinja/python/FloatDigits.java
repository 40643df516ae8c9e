package nibble.jinja.python;

import java.math.BigDecimal;
import java.math.MathContext;
import java.math.RoundingMode;

/** The forms e, f and g of C and Python for a finite float that is not negative, rounded exactly. */
final class FloatDigits {
    /** Most digits that are written after a point. */
    private static final int MAX_PRECISION = 100_000;

    private FloatDigits() {}

    static String of(double number, char type, int precision, boolean alternate) {
        Budget.characters(400L + precision);
        if (precision > MAX_PRECISION) {
            throw PythonException.value("precision too big");
        }
        String text = switch (Character.toLowerCase(type)) {
            case 'f' -> fixed(number, precision, alternate);
            case 'e' -> scientific(number, precision, alternate);
            default -> general(number, Math.max(1, precision), alternate, 0);
        };
        return Character.isUpperCase(type) ? text.toUpperCase(java.util.Locale.ROOT) : text;
    }

    static String fixed(double number, int precision, boolean alternate) {
        String text = new BigDecimal(number)
                .setScale(precision, RoundingMode.HALF_EVEN)
                .toPlainString();
        return precision == 0 && alternate ? text + "." : text;
    }

    private static String scientific(double number, int precision, boolean alternate) {
        BigDecimal rounded = new BigDecimal(number).round(new MathContext(precision + 1, RoundingMode.HALF_EVEN));
        int exponent = number == 0 ? 0 : exponent(rounded);
        String digits = number == 0 ? "0" : rounded.unscaledValue().toString();
        digits = digits.length() > precision + 1
                ? digits.substring(0, precision + 1)
                : digits + "0".repeat(precision + 1 - digits.length());
        String fraction = precision > 0 ? "." + digits.substring(1) : alternate ? "." : "";
        return digits.charAt(0) + fraction + power(exponent);
    }

    private static int exponent(BigDecimal number) {
        return number.precision() - number.scale() - 1;
    }

    private static String power(int exponent) {
        return "e" + (exponent < 0 ? "-" : "+") + (Math.abs(exponent) < 10 ? "0" : "") + Math.abs(exponent);
    }

    /**
     * The shorter of both.
     *
     * @param precision digits in all
     * @param alternate whether zeros at the end stay
     * @param earlier 1 to change to powers one digit earlier, as Python does where no type is given
     */
    static String general(double number, int precision, boolean alternate, int earlier) {
        BigDecimal rounded = new BigDecimal(number).round(new MathContext(precision, RoundingMode.HALF_EVEN));
        int exponent = number == 0 ? 0 : exponent(rounded);
        if (exponent < -4 || exponent >= precision - earlier) {
            String text = scientific(number, precision - 1, alternate);
            int e = text.indexOf('e');
            return alternate ? text : withoutZeros(text.substring(0, e)) + text.substring(e);
        }
        String text = fixed(number, Math.max(0, precision - 1 - exponent), alternate);
        return alternate ? text : withoutZeros(text);
    }

    private static String withoutZeros(String text) {
        if (text.indexOf('.') < 0) {
            return text;
        }
        int end = text.length();
        while (text.charAt(end - 1) == '0') {
            end--;
        }
        return text.substring(0, text.charAt(end - 1) == '.' ? end - 1 : end);
    }
}
