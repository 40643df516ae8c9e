package nibble.jinja.python;

import java.math.BigDecimal;
import java.math.BigInteger;
import java.util.List;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * Finds what templates reach by a dot, and keeps from them what the sandbox forbids. No attribute is found by looking
 * into Java's objects.
 */
public final class Attributes {
    private static final Set<String> CHANGES_LIST =
            Set.of("append", "clear", "pop", "reverse", "insert", "sort", "extend", "remove");
    private static final Set<String> CHANGES_DICT = Set.of("clear", "pop", "popitem", "setdefault", "update");

    /** Attributes of every object of Python's, which no template may have. */
    private static final Set<String> INTERNAL = Set.of(
            "__class__",
            "__doc__",
            "__dict__",
            "__init__",
            "__new__",
            "__repr__",
            "__str__",
            "__eq__",
            "__ne__",
            "__lt__",
            "__le__",
            "__gt__",
            "__ge__",
            "__hash__",
            "__dir__",
            "__format__",
            "__getattribute__",
            "__setattr__",
            "__delattr__",
            "__init_subclass__",
            "__subclasshook__",
            "__reduce__",
            "__reduce_ex__",
            "__sizeof__",
            "__getstate__");

    private Attributes() {}

    /** Returns Jinja's {@code value.name}: an attribute, else an item, else undefined. */
    public static Object dot(Object value, String name) {
        Budget.step();
        Object attribute = attribute(value, name);
        if (attribute != null) {
            return attribute;
        }
        try {
            return Subscript.item(value, name);
        } catch (PythonException e) {
            return undefinedIfMissing(e, value, name);
        }
    }

    /** Returns Jinja's {@code value[key]}: an item, else an attribute, else undefined. */
    public static Object bracket(Object value, Object key) {
        try {
            return Subscript.item(value, key);
        } catch (PythonException e) {
            if (Values.isText(key) && (e.isLookup() || e.kind() == PythonException.Kind.TYPE)) {
                Object attribute = attribute(value, key.toString());
                if (attribute != null) {
                    return attribute;
                }
            }
            return undefinedIfMissing(e, value, key);
        }
    }

    private static Undefined undefinedIfMissing(PythonException error, Object value, Object key) {
        if (error.isLookup() || error.kind() == PythonException.Kind.TYPE) {
            return Undefined.of(value, key);
        }
        throw error;
    }

    /** Returns an attribute, possibly one that is undefined because it is unsafe; null if there is none. */
    public static @Nullable Object attribute(Object value, String name) {
        if (INTERNAL.contains(name) && !(value instanceof PyObject)) {
            return Undefined.unsafe(value, name);
        }
        return switch (value) {
            case String text -> StringMethods.of(text, name);
            case Markup markup -> StringMethods.of(markup, name);
            case PyDict dict -> CHANGES_DICT.contains(name) ? Undefined.unsafe(dict, name) : ofDict(dict, name);
            case PyList list ->
                CHANGES_LIST.contains(name)
                        ? Undefined.unsafe(list, name)
                        : name.equals("copy")
                                ? function("copy", () -> new PyList(List.copyOf(list.items())))
                                : ofItems(list, list.items(), name);
            case PyTuple tuple ->
                tuple.names().containsKey(name)
                        ? tuple.items().get(tuple.names().getOrDefault(name, 0))
                        : ofItems(tuple, tuple.items(), name);
            case PyRange range ->
                switch (name) {
                    case "start" -> BigInteger.valueOf(range.start());
                    case "stop" -> BigInteger.valueOf(range.stop());
                    case "step" -> BigInteger.valueOf(range.step());
                    default ->
                        name.equals("count") || name.equals("index") ? ofItems(range, Values.list(range), name) : null;
                };
            case BigInteger number -> ofNumber(number, name);
            case Boolean truth -> ofNumber(Numbers.whole(truth), name);
            case Double number ->
                switch (name) {
                    case "real" -> number;
                    case "imag" -> 0.0;
                    case "conjugate" -> function(name, () -> number);
                    case "is_integer" -> function(name, () -> !number.isInfinite() && number == Math.rint(number));
                    case "as_integer_ratio" -> function(name, () -> ratio(number));
                    default -> null;
                };
            case DictView view -> name.equals("mapping") ? view.dict() : null;
            case PyObject object -> object.attribute(name);
            case Undefined undefined -> {
                if (name.startsWith("__")) {
                    yield null;
                }
                throw undefined.error();
            }
            default -> null;
        };
    }

    private interface Result {
        Object make();
    }

    private static PyCallable function(String name, Result result) {
        return new PyCallable.Function(name, arguments -> {
            arguments.bind(name);
            return result.make();
        });
    }

    private static @Nullable Object ofDict(PyDict dict, String name) {
        return switch (name) {
            case "items" -> function(name, () -> new DictView(dict, DictView.Part.ITEMS));
            case "keys" -> function(name, () -> new DictView(dict, DictView.Part.KEYS));
            case "values" -> function(name, () -> new DictView(dict, DictView.Part.VALUES));
            case "copy" -> function(name, dict::copy);
            case "get" ->
                new PyCallable.Function(name, arguments -> {
                    Arguments.Bound bound = arguments.bind("get", "/key", "/default?");
                    Object found = dict.get(bound.get("key", None.NONE));
                    return found == null ? bound.get("default", None.NONE) : found;
                });
            case "fromkeys" ->
                new PyCallable.Function(name, arguments -> {
                    Arguments.Bound bound = arguments.bind("fromkeys", "/iterable", "/value?");
                    PyDict made = new PyDict();
                    Values.iterate(bound.get("iterable", None.NONE))
                            .forEachRemaining(key -> made.put(key, bound.get("value", None.NONE)));
                    return made;
                });
            default -> null;
        };
    }

    private static @Nullable Object ofItems(Object self, List<Object> items, String name) {
        return switch (name) {
            case "count" ->
                new PyCallable.Function(name, arguments -> {
                    Object wanted = arguments.bind("count", "/value").get("value", None.NONE);
                    return BigInteger.valueOf(items.stream()
                            .filter(item -> item == wanted || Values.equal(item, wanted))
                            .count());
                });
            case "index" ->
                new PyCallable.Function(name, arguments -> {
                    Arguments.Bound bound = arguments.bind("index", "/value", "/start?", "/stop?");
                    Subscript.Slice range = Subscript.Slice.of(
                            items.size(), bound.get("start", None.NONE), bound.get("stop", None.NONE), None.NONE);
                    for (int i = range.start(); i < range.stop(); i++) {
                        if (Values.equal(items.get(i), bound.get("value", None.NONE))) {
                            return BigInteger.valueOf(i);
                        }
                    }
                    throw PythonException.value("value is not in " + Values.typeName(self));
                });
            default -> null;
        };
    }

    private static @Nullable Object ofNumber(BigInteger number, String name) {
        return switch (name) {
            case "real", "numerator" -> number;
            case "imag" -> BigInteger.ZERO;
            case "denominator" -> BigInteger.ONE;
            case "conjugate" -> function(name, () -> number);
            case "bit_length" ->
                function(name, () -> BigInteger.valueOf(number.abs().bitLength()));
            case "bit_count" ->
                function(name, () -> BigInteger.valueOf(number.abs().bitCount()));
            case "as_integer_ratio" -> function(name, () -> PyTuple.of(number, BigInteger.ONE));
            default -> null;
        };
    }

    private static PyTuple ratio(double number) {
        BigInteger numerator = Numbers.toInt(number);
        BigInteger denominator = BigInteger.ONE;
        if (number != Math.rint(number)) {
            BigDecimal exact = new BigDecimal(number);
            BigInteger ten = BigInteger.TEN.pow(exact.scale());
            BigInteger common = exact.unscaledValue().gcd(ten);
            numerator = exact.unscaledValue().divide(common);
            denominator = ten.divide(common);
        }
        return PyTuple.of(numerator, denominator);
    }
}
