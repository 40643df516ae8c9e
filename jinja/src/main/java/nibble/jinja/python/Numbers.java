package nibble.jinja.python;

import java.math.BigDecimal;
import java.math.BigInteger;
import java.math.RoundingMode;
import java.util.Optional;

/** Computes with Python's numbers: conversions, comparison, rounding and reading them from text. */
public final class Numbers {
    /** Python refuses to write or read an int of more decimal digits. */
    private static final int MAX_DIGITS = 4300;

    private Numbers() {}

    static boolean isNaN(Object value) {
        return value instanceof Double number && number.isNaN();
    }

    /** An int or bool as a number. @throws PythonException of kind TYPE for anything else */
    static BigInteger whole(Object value) {
        return switch (value) {
            case BigInteger number -> number;
            case Boolean truth -> truth ? BigInteger.ONE : BigInteger.ZERO;
            default -> {
                Values.requireDefined(value);
                throw PythonException.type(
                        "'" + Values.typeName(value) + "' object cannot be interpreted as an integer");
            }
        };
    }

    /** Returns the same within int's bounds; what is beyond them is the bound. */
    public static int index(Object value) {
        BigInteger number = whole(value);
        return number.bitLength() < 32
                ? number.intValue()
                : number.signum() < 0 ? -Integer.MAX_VALUE : Integer.MAX_VALUE;
    }

    /** A number as a double. @throws PythonException of kind OVERFLOW if it is too large for one */
    static double real(Object value) {
        if (value instanceof Double number) {
            return number;
        }
        double number = whole(value).doubleValue();
        if (Double.isInfinite(number)) {
            throw new PythonException(PythonException.Kind.OVERFLOW, "int too large to convert to float");
        }
        return number;
    }

    /** Compares exactly, an int with a float too. NaN is not asked about. */
    static int compare(Object left, Object right) {
        if (left instanceof Double a && right instanceof Double b) {
            return a < b ? -1 : a > b ? 1 : 0;
        }
        if (left instanceof Double a) {
            return -compareWhole(whole(right), a);
        }
        return right instanceof Double b
                ? compareWhole(whole(left), b)
                : whole(left).compareTo(whole(right));
    }

    private static int compareWhole(BigInteger left, double right) {
        if (Double.isNaN(right)) {
            return 1;
        }
        return Double.isInfinite(right) ? (right > 0 ? -1 : 1) : new BigDecimal(left).compareTo(new BigDecimal(right));
    }

    /** Returns Python's {@code int(value)}. */
    public static BigInteger toInt(Object value) {
        return switch (value) {
            case Double number -> {
                if (number.isNaN()) {
                    throw PythonException.value("cannot convert float NaN to integer");
                }
                if (number.isInfinite()) {
                    throw new PythonException(
                            PythonException.Kind.OVERFLOW, "cannot convert float infinity to integer");
                }
                yield new BigDecimal(number).toBigInteger();
            }
            case String text -> parseInt(text, 10);
            case Markup markup -> parseInt(markup.text(), 10);
            default -> {
                Values.requireDefined(value);
                if (value instanceof BigInteger || value instanceof Boolean) {
                    yield whole(value);
                }
                throw PythonException.type(
                        "int() argument must be a string or a number, not '" + Values.typeName(value) + "'");
            }
        };
    }

    /** Returns Python's {@code float(value)}. */
    public static double toFloat(Object value) {
        return switch (value) {
            case String text -> parseFloat(text);
            case Markup markup -> parseFloat(markup.text());
            default -> {
                Values.requireDefined(value);
                if (value instanceof Double || value instanceof BigInteger || value instanceof Boolean) {
                    yield real(value);
                }
                throw PythonException.type(
                        "float() argument must be a string or a number, not '" + Values.typeName(value) + "'");
            }
        };
    }

    /** Reads an int in a base of 2 to 36, or 0 for the base that its prefix says. */
    public static BigInteger parseInt(String text, int base) {
        if (base != 0 && (base < 2 || base > 36)) {
            throw PythonException.value("int() base must be >= 2 and <= 36, or 0");
        }
        PythonException bad =
                PythonException.value("invalid literal for int() with base " + base + ": " + Repr.quoted(text));
        String digits = asciiDigits(Text.strip(text));
        boolean negative = digits.startsWith("-");
        digits = negative || digits.startsWith("+") ? digits.substring(1) : digits;
        int radix = base == 0 ? 10 : base;
        String prefix = digits.length() > 1 ? digits.substring(0, 2).toLowerCase(java.util.Locale.ROOT) : "";
        int said = switch (prefix) {
            case "0x" -> 16;
            case "0o" -> 8;
            case "0b" -> 2;
            default -> 0;
        };
        if (said != 0 && (base == 0 || base == said)) {
            radix = said;
            digits = digits.substring(2);
            digits = digits.startsWith("_") ? digits.substring(1) : digits;
        } else if (base == 0
                && digits.startsWith("0")
                && !digits.replace("_", "").replace("0", "").isEmpty()) {
            throw bad;
        }
        if (digits.isEmpty() || digits.startsWith("_") || digits.endsWith("_") || digits.contains("__")) {
            throw bad;
        }
        digits = digits.replace("_", "");
        for (int i = 0; i < digits.length(); i++) {
            if (digits.charAt(i) > 'z' || Character.digit(digits.charAt(i), radix) < 0) {
                throw bad;
            }
        }
        if (digits.length() > MAX_DIGITS && Integer.bitCount(radix) != 1) {
            throw PythonException.value("Exceeds the limit (" + MAX_DIGITS + " digits) for integer string conversion");
        }
        Budget.steps(digits.length());
        BigInteger number = new BigInteger(digits, radix);
        return negative ? number.negate() : number;
    }

    /** Decimal digits of all scripts as ASCII's, which Python reads as well. */
    private static String asciiDigits(String text) {
        StringBuilder out = new StringBuilder(text.length());
        text.codePoints().forEach(point -> {
            if (point > 127 && Character.isDigit(point)) {
                out.append((char) ('0' + Character.digit(point, 10)));
            } else {
                out.appendCodePoint(point);
            }
        });
        return out.toString();
    }

    private static double parseFloat(String text) {
        String stripped = asciiDigits(Text.strip(text));
        Optional<Double> special = special(stripped.toLowerCase(java.util.Locale.ROOT));
        if (special.isPresent()) {
            return special.get();
        }
        boolean shaped = stripped.matches(
                "[+-]?(?:\\d+(?:_\\d+)*\\.?(?:\\d+(?:_\\d+)*)?|\\.\\d+(?:_\\d+)*)(?:[eE][+-]?\\d+(?:_\\d+)*)?");
        if (stripped.length() > 1_000_000 || !shaped) {
            throw PythonException.value("could not convert string to float: " + Repr.quoted(text));
        }
        Budget.steps(stripped.length());
        return Double.parseDouble(stripped.replace("_", ""));
    }

    private static Optional<Double> special(String text) {
        boolean negative = text.startsWith("-");
        return switch (negative || text.startsWith("+") ? text.substring(1) : text) {
            case "nan" -> Optional.of(Double.NaN);
            case "inf", "infinity" -> Optional.of(negative ? Double.NEGATIVE_INFINITY : Double.POSITIVE_INFINITY);
            default -> Optional.empty();
        };
    }

    /** Decimal digits of an int. @throws PythonException of kind VALUE beyond the size that Python writes */
    static String decimal(BigInteger number) {
        // 3.4 bits a digit at most.
        if (number.bitLength() > MAX_DIGITS * 3.4
                || number.bitLength() > MAX_DIGITS * 3.3
                        && number.abs().toString().length() > MAX_DIGITS) {
            throw PythonException.value("Exceeds the limit (" + MAX_DIGITS + " digits) for integer string conversion");
        }
        Budget.steps(1 + number.bitLength() / 64);
        return number.toString();
    }

    /** Returns Python's {@code round(value, digits)}: halves go to the even neighbour. */
    public static Object round(Object value, BigInteger digits) {
        int places = index(digits);
        if (value instanceof Double number) {
            if (number.isNaN() || number.isInfinite() || places > 323) {
                return number;
            }
            if (places < -308) {
                return Math.copySign(0.0, number);
            }
            double rounded = new BigDecimal(number)
                    .setScale(places, RoundingMode.HALF_EVEN)
                    .doubleValue();
            return Math.copySign(rounded, number);
        }
        BigInteger whole = whole(value);
        if (places >= 0) {
            return whole;
        }
        if (places < -MAX_DIGITS) {
            return BigInteger.ZERO;
        }
        return new BigDecimal(whole).setScale(places, RoundingMode.HALF_EVEN).toBigInteger();
    }
}
