package nibble.jinja;

import java.math.BigInteger;
import java.util.HashMap;
import java.util.Map;
import nibble.jinja.python.Arguments;
import nibble.jinja.python.Arithmetic;
import nibble.jinja.python.Budget;
import nibble.jinja.python.CharacterCases;
import nibble.jinja.python.Markup;
import nibble.jinja.python.None;
import nibble.jinja.python.PyCallable;
import nibble.jinja.python.PyDict;
import nibble.jinja.python.PyList;
import nibble.jinja.python.PyRange;
import nibble.jinja.python.PyTuple;
import nibble.jinja.python.PythonException;
import nibble.jinja.python.Repr;
import nibble.jinja.python.Undefined;
import nibble.jinja.python.Values;

/** The tests that stand behind {@code is}. */
final class Tests {
    private interface Test {
        boolean holds(Object value, Arguments arguments);
    }

    private interface Plain {
        boolean holds(Object value);
    }

    private static final Map<String, Test> ALL = new HashMap<>();

    static {
        add("defined", value -> !(value instanceof Undefined));
        add("undefined", value -> value instanceof Undefined);
        add("none", value -> value == None.NONE);
        add("boolean", value -> value instanceof Boolean);
        add("true", value -> value.equals(true));
        add("false", value -> value.equals(false));
        add("integer", value -> value instanceof BigInteger);
        add("float", value -> value instanceof Double);
        add("number", value -> value instanceof BigInteger || value instanceof Double || value instanceof Boolean);
        add("string", Values::isText);
        add("escaped", value -> value instanceof Markup);
        add("mapping", value -> value instanceof PyDict);
        add(
                "sequence",
                value -> Values.isText(value)
                        || value instanceof PyList
                        || value instanceof PyTuple
                        || value instanceof PyDict
                        || value instanceof PyRange
                        || value instanceof Undefined);
        add("iterable", Values::isIterable);
        add("callable", value -> value instanceof PyCallable || value instanceof Undefined);
        add("lower", value -> CharacterCases.isLower(Repr.str(value)));
        add("upper", value -> CharacterCases.isUpper(Repr.str(value)));
        add("odd", value -> Values.equal(Arithmetic.apply("%", value, BigInteger.TWO), BigInteger.ONE));
        add("even", value -> Values.equal(Arithmetic.apply("%", value, BigInteger.TWO), BigInteger.ZERO));
        add("filter", value -> Values.isText(hashable(value)) && Filters.exists(value.toString()));
        add("test", value -> Values.isText(hashable(value)) && exists(value.toString()));
        ALL.put("divisibleby", (value, arguments) -> {
            Object number = arguments.bind("divisibleby", "num").get("num", None.NONE);
            return Values.equal(Arithmetic.apply("%", value, number), BigInteger.ZERO);
        });
        ALL.put(
                "sameas",
                (value, arguments) ->
                        isSame(value, arguments.bind("sameas", "other").get("other", None.NONE)));
        ALL.put(
                "in",
                (value, arguments) ->
                        Values.contains(arguments.bind("in", "seq").get("seq", None.NONE), value));
        compares("==", "==", "eq", "equalto");
        compares("!=", "!=", "ne");
        compares("<", "<", "lt", "lessthan");
        compares("<=", "<=", "le");
        compares(">", ">", "gt", "greaterthan");
        compares(">=", ">=", "ge");
    }

    private Tests() {}

    private static void add(String name, Plain test) {
        ALL.put(name, (value, arguments) -> {
            arguments.bind(name);
            return test.holds(value);
        });
    }

    private static void compares(String operator, String... names) {
        for (String name : names) {
            ALL.put(
                    name,
                    (value, arguments) -> Values.compare(
                            operator, value, arguments.bind(name, "/other").get("other", None.NONE)));
        }
    }

    private static Object hashable(Object value) {
        new PyDict().contains(value);
        return value;
    }

    /** Python keeps one object each of true, false and small ints. */
    private static boolean isSame(Object left, Object right) {
        boolean small = left instanceof BigInteger number && number.bitLength() < 8 || left instanceof Boolean;
        return left == right || small && left.equals(right);
    }

    static boolean exists(String name) {
        return ALL.containsKey(name);
    }

    static Object apply(String name, Object value, Arguments arguments) {
        Budget.step();
        Test test = ALL.get(name);
        if (test == null) {
            throw new PythonException(PythonException.Kind.RUNTIME, "No test named '" + name + "' found");
        }
        return test.holds(value, arguments);
    }
}
