package nibble.jinja.python;

import java.math.BigDecimal;
import java.math.BigInteger;
import java.math.MathContext;
import java.math.RoundingMode;
import java.util.ArrayList;
import java.util.List;

/** Computes Python's operators on numbers, texts and lists. */
public final class Arithmetic {
    /** Largest int that is computed, in bits; no template prints one of this size. */
    private static final int MAX_BITS = 1 << 17;

    private Arithmetic() {}

    /** Returns one of {@code + - * / // % **}. */
    public static Object apply(String operator, Object left, Object right) {
        Budget.step();
        if (operator.equals("%") && Values.isText(left)) {
            return left instanceof Markup markup
                    ? new Markup(PercentFormat.format(markup.text(), right, true))
                    : PercentFormat.format((String) left, right, false);
        }
        Values.requireDefined(left);
        Values.requireDefined(right);
        if (isNumber(left) && isNumber(right)) {
            return left instanceof Double || right instanceof Double
                    ? real(operator, Numbers.real(left), Numbers.real(right))
                    : whole(operator, Numbers.whole(left), Numbers.whole(right));
        }
        if (operator.equals("+")) {
            return add(left, right);
        }
        if (operator.equals("*")) {
            if (isWhole(right)) {
                return repeat(left, right);
            }
            if (isWhole(left)) {
                return repeat(right, left);
            }
        }
        throw unsupported(operator, left, right);
    }

    private static PythonException unsupported(String operator, Object left, Object right) {
        return PythonException.type("unsupported operand type(s) for " + operator + ": '" + Values.typeName(left)
                + "' and '" + Values.typeName(right) + "'");
    }

    private static boolean isWhole(Object value) {
        return value instanceof BigInteger || value instanceof Boolean;
    }

    private static boolean isNumber(Object value) {
        return value instanceof Double || isWhole(value);
    }

    private static Object add(Object left, Object right) {
        if (Values.isText(left) && Values.isText(right)) {
            if (left instanceof Markup || right instanceof Markup) {
                return new Markup(Text.join(
                        Markup.escape(left).text(), Markup.escape(right).text()));
            }
            return Text.join((String) left, (String) right);
        }
        if (left instanceof PyList a && right instanceof PyList b) {
            return new PyList(both(a.items(), b.items()));
        }
        if (left instanceof PyTuple a && right instanceof PyTuple b) {
            return new PyTuple(both(a.items(), b.items()));
        }
        if (Values.isText(left)) {
            throw PythonException.type("can only concatenate str (not \"" + Values.typeName(right) + "\") to str");
        }
        throw unsupported("+", left, right);
    }

    private static List<Object> both(List<Object> left, List<Object> right) {
        Budget.items((long) left.size() + right.size());
        List<Object> items = new ArrayList<>(left);
        items.addAll(right);
        return items;
    }

    private static Object repeat(Object value, Object count) {
        int times = Math.max(0, Numbers.index(count));
        return switch (value) {
            case String text -> Text.repeat(text, times);
            case Markup markup -> new Markup(Text.repeat(markup.text(), times));
            case PyList list -> new PyList(repeated(list.items(), times));
            case PyTuple tuple -> new PyTuple(repeated(tuple.items(), times));
            default -> throw unsupported("*", value, count);
        };
    }

    private static List<Object> repeated(List<Object> items, int times) {
        if (items.isEmpty()) {
            return List.of();
        }
        Budget.items((long) items.size() * times);
        List<Object> all = new ArrayList<>();
        for (int i = 0; i < times; i++) {
            all.addAll(items);
        }
        return all;
    }

    private static Object whole(String operator, BigInteger left, BigInteger right) {
        return switch (operator) {
            case "+" -> left.add(right);
            case "-" -> left.subtract(right);
            case "*" -> {
                requireSize((long) left.bitLength() + right.bitLength());
                yield left.multiply(right);
            }
            case "/" -> divide(left, right);
            case "//" -> floorDivide(left, right);
            case "%" -> left.subtract(floorDivide(left, right).multiply(right));
            case "**" -> power(left, right);
            default -> throw new IllegalArgumentException(operator);
        };
    }

    private static void requireSize(long bits) {
        Budget.steps(1 + (bits >> 8) * (bits >> 8));
        if (bits > MAX_BITS) {
            throw new PythonException(PythonException.Kind.LIMIT, "computes an int of more than " + MAX_BITS + " bits");
        }
    }

    private static BigInteger floorDivide(BigInteger left, BigInteger right) {
        requireNotZero(right.signum() != 0, "integer division or modulo by zero");
        requireSize(left.bitLength());
        BigInteger[] parts = left.divideAndRemainder(right);
        boolean down = parts[1].signum() != 0 && parts[1].signum() != right.signum();
        return down ? parts[0].subtract(BigInteger.ONE) : parts[0];
    }

    private static void requireNotZero(boolean notZero, String message) {
        if (!notZero) {
            throw new PythonException(PythonException.Kind.ZERO_DIVISION, message);
        }
    }

    /** Rounded correctly, as Python divides ints of any size. */
    private static double divide(BigInteger left, BigInteger right) {
        requireNotZero(right.signum() != 0, "division by zero");
        if (left.bitLength() <= 53 && right.bitLength() <= 53) {
            return left.doubleValue() / right.doubleValue();
        }
        requireSize((long) left.bitLength() + right.bitLength());
        // A number halfway between two doubles has fewer than 800 digits.
        BigDecimal quotient =
                new BigDecimal(left).divide(new BigDecimal(right), new MathContext(800, RoundingMode.DOWN));
        double value = quotient.doubleValue();
        if (Double.isInfinite(value)) {
            throw new PythonException(PythonException.Kind.OVERFLOW, "integer division result too large for a float");
        }
        return value;
    }

    private static Object power(BigInteger base, BigInteger exponent) {
        if (exponent.signum() < 0) {
            requireNotZero(base.signum() != 0, "0.0 cannot be raised to a negative power");
            return real("**", Numbers.real(base), Numbers.real(exponent));
        }
        if (base.bitLength() <= 1 && base.abs().bitLength() <= 1) {
            boolean negative = base.signum() < 0 && exponent.testBit(0);
            return base.signum() == 0 && exponent.signum() != 0
                    ? BigInteger.ZERO
                    : negative ? BigInteger.ONE.negate() : BigInteger.ONE;
        }
        if (exponent.bitLength() > 31) {
            requireSize(Long.MAX_VALUE >> 40);
        }
        requireSize((long) base.bitLength() * exponent.intValue());
        return base.pow(exponent.intValue());
    }

    private static Object real(String operator, double left, double right) {
        return switch (operator) {
            case "+" -> left + right;
            case "-" -> left - right;
            case "*" -> left * right;
            case "/" -> {
                requireNotZero(right != 0, "float division by zero");
                yield left / right;
            }
            case "//" -> {
                requireNotZero(right != 0, "float floor division by zero");
                yield floor(left, right);
            }
            case "%" -> {
                requireNotZero(right != 0, "float modulo");
                yield modulo(left, right);
            }
            case "**" -> power(left, right);
            default -> throw new IllegalArgumentException(operator);
        };
    }

    private static double modulo(double left, double right) {
        double rest = left % right;
        if (rest == 0) {
            return Math.copySign(0.0, right);
        }
        return rest < 0 != right < 0 ? rest + right : rest;
    }

    private static double floor(double left, double right) {
        double rest = left % right;
        double quotient = (left - rest) / right;
        if (rest != 0 && rest < 0 != right < 0) {
            quotient -= 1;
        }
        if (quotient == 0) {
            return Math.copySign(0.0, left / right);
        }
        double floored = Math.floor(quotient);
        return quotient - floored > 0.5 ? floored + 1 : floored;
    }

    private static double power(double base, double exponent) {
        requireNotZero(base != 0 || !(exponent < 0), "0.0 cannot be raised to a negative power");
        if (base == 1) {
            return 1;
        }
        if (base < 0 && !Double.isInfinite(base) && !Double.isInfinite(exponent) && exponent != Math.rint(exponent)) {
            throw PythonException.type("complex numbers are not supported");
        }
        if (base == -1 && Double.isInfinite(exponent)) {
            return 1;
        }
        double value = Math.pow(base, exponent);
        if (Double.isInfinite(value) && !Double.isInfinite(base) && !Double.isInfinite(exponent)) {
            throw new PythonException(PythonException.Kind.OVERFLOW, "Numerical result out of range");
        }
        return value;
    }

    /** Returns Python's unary minus. */
    public static Object negate(Object value) {
        return value instanceof Double number
                ? (Object) (-number)
                : whole(value, '-').negate();
    }

    /** Returns Python's unary plus. */
    public static Object positive(Object value) {
        return value instanceof Double ? value : whole(value, '+');
    }

    private static BigInteger whole(Object value, char operator) {
        Values.requireDefined(value);
        if (isWhole(value)) {
            return Numbers.whole(value);
        }
        throw PythonException.type("bad operand type for unary " + operator + ": '" + Values.typeName(value) + "'");
    }
}
