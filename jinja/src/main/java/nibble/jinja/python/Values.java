package nibble.jinja.python;

import java.math.BigDecimal;
import java.math.BigInteger;
import java.util.ArrayList;
import java.util.Collections;
import java.util.Iterator;
import java.util.List;
import java.util.NoSuchElementException;
import java.util.Optional;
import java.util.function.IntFunction;

/** Computes what all values have in Python: truth, length, equality, order, and being gone through. */
public final class Values {
    private static final Object NOT_A_NUMBER = new Object();

    /** Deepest nesting of lists and dicts that is compared or printed. */
    static final int MAX_DEPTH = 200;

    private Values() {}

    /** A dict's key for tuples. */
    private record TupleKey(List<Object> items) {}

    /** What a dict knows a key by: equal for keys that are equal in Python. */
    static Object key(Object value) {
        return switch (value) {
            case Boolean truth -> truth ? BigInteger.ONE : BigInteger.ZERO;
            case Double number -> {
                if (number.isNaN()) {
                    yield NOT_A_NUMBER;
                }
                boolean whole = !number.isInfinite() && number == Math.rint(number);
                yield whole ? new BigDecimal(number).toBigIntegerExact() : number;
            }
            case Markup markup -> markup.text();
            case PyTuple tuple -> {
                Budget.items(tuple.items().size());
                yield new TupleKey(tuple.items().stream().map(Values::key).toList());
            }
            case PyList list -> throw PythonException.type("unhashable type: 'list'");
            case PyDict dict -> throw PythonException.type("unhashable type: 'dict'");
            case Undefined undefined -> Undefined.class;
            default -> value;
        };
    }

    /** Returns the name of a value's type. */
    public static String typeName(Object value) {
        return switch (value) {
            case None none -> "NoneType";
            case Boolean truth -> "bool";
            case BigInteger number -> "int";
            case Double number -> "float";
            case String text -> "str";
            case Markup markup -> "Markup";
            case PyList list -> "list";
            case PyTuple tuple -> "tuple";
            case PyDict dict -> "dict";
            case PyRange range -> "range";
            case DictView view -> "dict_" + view.part().name().toLowerCase(java.util.Locale.ROOT);
            case PyIterator iterator -> "generator";
            case Undefined undefined -> "Undefined";
            case PyObject object -> object.typeName();
            default -> "function";
        };
    }

    public static boolean isText(Object value) {
        return value instanceof String || value instanceof Markup;
    }

    public static boolean truth(Object value) {
        return switch (value) {
            case None none -> false;
            case Boolean truth -> truth;
            case BigInteger number -> number.signum() != 0;
            case Double number -> number != 0;
            case PyObject object -> object.length().map(length -> length > 0).orElse(true);
            default -> lengthOf(value).map(length -> length > 0).orElse(true);
        };
    }

    /**
     * Returns the length.
     *
     * @throws PythonException of kind TYPE for what has no length
     */
    public static int length(Object value) {
        return lengthOf(value)
                .orElseThrow(() -> PythonException.type("object of type '" + typeName(value) + "' has no len()"));
    }

    static Optional<Integer> lengthOf(Object value) {
        return switch (value) {
            case String text -> Optional.of(Text.length(text));
            case Markup markup -> Optional.of(Text.length(markup.text()));
            case PyList list -> Optional.of(list.items().size());
            case PyTuple tuple -> Optional.of(tuple.items().size());
            case PyDict dict -> Optional.of(dict.size());
            case DictView view -> Optional.of(view.dict().size());
            case PyRange range -> Optional.of(range.length());
            case Undefined undefined -> Optional.of(0);
            case PyObject object -> object.length();
            default -> Optional.empty();
        };
    }

    /** Goes through a value's items; each costs a step. */
    public static Iterator<Object> iterate(Object value) {
        return iteratorOf(value)
                .orElseThrow(() -> PythonException.type("'" + typeName(value) + "' object is not iterable"));
    }

    /** Returns whether {@code iter} takes it. */
    public static boolean isIterable(Object value) {
        return switch (value) {
            case String text -> true;
            case Markup markup -> true;
            case PyDict dict -> true;
            case DictView view -> true;
            default -> iteratorOf(value).isPresent();
        };
    }

    private static Optional<Iterator<Object>> iteratorOf(Object value) {
        return switch (value) {
            case String text -> Optional.of(characters(text, false));
            case Markup markup -> Optional.of(characters(markup.text(), false));
            case PyList list -> Optional.of(counted(list.items().iterator()));
            case PyTuple tuple -> Optional.of(counted(tuple.items().iterator()));
            case PyDict dict ->
                Optional.of(
                        counted(new DictView(dict, DictView.Part.KEYS).items().iterator()));
            case DictView view -> Optional.of(counted(view.items().iterator()));
            case PyRange range -> Optional.of(indexed(range.length(), i -> BigInteger.valueOf(range.at(i))));
            case PyIterator iterator -> Optional.of(counted(iterator.items()));
            case Undefined undefined -> Optional.of(Collections.emptyIterator());
            case PyObject object -> object.iterator();
            default -> Optional.empty();
        };
    }

    private static Iterator<Object> characters(String text, boolean backwards) {
        Budget.look(text.length());
        int[] points = text.codePoints().toArray();
        return indexed(points.length, i -> Character.toString(points[backwards ? points.length - 1 - i : i]));
    }

    private static Iterator<Object> counted(Iterator<Object> items) {
        return new Iterator<>() {
            @Override
            public boolean hasNext() {
                return items.hasNext();
            }

            @Override
            public Object next() {
                Budget.step();
                return items.next();
            }
        };
    }

    private static Iterator<Object> indexed(int length, IntFunction<Object> item) {
        return new Iterator<>() {
            private int next;

            @Override
            public boolean hasNext() {
                return next < length;
            }

            @Override
            public Object next() {
                if (next >= length) {
                    throw new NoSuchElementException();
                }
                Budget.step();
                return item.apply(next++);
            }
        };
    }

    /** Returns all items of something that can be gone through. */
    public static List<Object> list(Object value) {
        List<Object> items = new ArrayList<>();
        Iterator<Object> from = iterate(value);
        while (from.hasNext()) {
            items.add(from.next());
        }
        return items;
    }

    /** Returns Python's {@code reversed}. @throws PythonException of kind TYPE for what has no order */
    public static Iterator<Object> reversed(Object value) {
        return switch (value) {
            case String text -> characters(text, true);
            case Markup markup -> characters(markup.text(), true);
            case PyIterator iterator -> throw PythonException.type("'generator' object is not reversible");
            case PyObject object -> throw PythonException.type("'" + object.typeName() + "' object is not reversible");
            default -> {
                List<Object> items = list(value);
                yield indexed(items.size(), i -> items.get(items.size() - 1 - i));
            }
        };
    }

    private static boolean isNumber(Object value) {
        return value instanceof Boolean || value instanceof BigInteger || value instanceof Double;
    }

    /** Returns Python's {@code ==}. */
    public static boolean equal(Object left, Object right) {
        return equal(left, right, 0);
    }

    private static boolean equal(Object left, Object right, int depth) {
        Budget.step();
        if (depth > MAX_DEPTH) {
            throw new PythonException(
                    PythonException.Kind.LIMIT, "compares values nested more than " + MAX_DEPTH + " deep");
        }
        if (isNumber(left) && isNumber(right)) {
            return Numbers.compare(left, right) == 0 && !Numbers.isNaN(left) && !Numbers.isNaN(right);
        }
        if (isText(left) && isText(right)) {
            Budget.look(left.toString().length());
            return left.toString().equals(right.toString());
        }
        return switch (left) {
            case PyList a when right instanceof PyList b -> equalItems(a.items(), b.items(), depth);
            case PyTuple a when right instanceof PyTuple b -> equalItems(a.items(), b.items(), depth);
            case PyDict a when right instanceof PyDict b -> equalDicts(a, b, depth);
            case PyRange a when right instanceof PyRange b -> list(a).equals(list(b));
            case DictView a
            when right instanceof DictView b && a.part() != DictView.Part.VALUES -> {
                List<Object> others = b.items();
                yield a.items().size() == others.size()
                        && a.items().stream().allMatch(item -> others.stream().anyMatch(other -> equal(item, other)));
            }
            case Undefined a when right instanceof Undefined -> true;
            default -> left == right;
        };
    }

    private static boolean equalItems(List<Object> left, List<Object> right, int depth) {
        if (left.size() != right.size()) {
            return false;
        }
        for (int i = 0; i < left.size(); i++) {
            if (left.get(i) != right.get(i) && !equal(left.get(i), right.get(i), depth + 1)) {
                return false;
            }
        }
        return true;
    }

    private static boolean equalDicts(PyDict left, PyDict right, int depth) {
        if (left.size() != right.size()) {
            return false;
        }
        for (PyDict.Entry entry : left.entries()) {
            Object other = right.get(entry.key());
            if (other == null || other != entry.value() && !equal(entry.value(), other, depth + 1)) {
                return false;
            }
        }
        return true;
    }

    /** Python's {@code left < right}, or {@code <=}. */
    static boolean less(Object left, Object right, boolean orEqual) {
        Budget.step();
        if (isNumber(left) && isNumber(right)) {
            if (Numbers.isNaN(left) || Numbers.isNaN(right)) {
                return false;
            }
            int order = Numbers.compare(left, right);
            return order < 0 || orEqual && order == 0;
        }
        if (isText(left) && isText(right)) {
            int order = Text.compare(left.toString(), right.toString());
            return order < 0 || orEqual && order == 0;
        }
        if (left instanceof PyList a && right instanceof PyList b) {
            return lessItems(a.items(), b.items(), orEqual);
        }
        if (left instanceof PyTuple a && right instanceof PyTuple b) {
            return lessItems(a.items(), b.items(), orEqual);
        }
        requireDefined(left);
        requireDefined(right);
        throw PythonException.type(
                "'<' not supported between instances of '" + typeName(left) + "' and '" + typeName(right) + "'");
    }

    private static boolean lessItems(List<Object> left, List<Object> right, boolean orEqual) {
        for (int i = 0; i < Math.min(left.size(), right.size()); i++) {
            if (!equal(left.get(i), right.get(i))) {
                return less(left.get(i), right.get(i), orEqual);
            }
        }
        return left.size() < right.size() || orEqual && left.size() == right.size();
    }

    /** Returns Python's order of sorting, which asks for {@code <} alone. */
    public static int order(Object left, Object right) {
        return less(left, right, false) ? -1 : less(right, left, false) ? 1 : 0;
    }

    /** Returns one of Python's comparisons: {@code == != < <= > >= in}, or {@code not in}. */
    public static boolean compare(String operator, Object left, Object right) {
        return switch (operator) {
            case "==" -> equal(left, right);
            case "!=" -> !equal(left, right);
            case "<" -> less(left, right, false);
            case "<=" -> less(left, right, true);
            case ">" -> less(right, left, false);
            case ">=" -> less(right, left, true);
            case "in" -> contains(right, left);
            case "not in" -> !contains(right, left);
            default -> throw new IllegalArgumentException(operator);
        };
    }

    /** Returns Python's {@code item in container}. */
    public static boolean contains(Object container, Object item) {
        if (isText(container)) {
            if (!isText(item)) {
                throw PythonException.type("'in <string>' requires string as left operand, not " + typeName(item));
            }
            Budget.look(container.toString().length());
            return container.toString().contains(item.toString());
        }
        if (container instanceof PyDict dict) {
            return dict.contains(item);
        }
        if (container instanceof DictView view && view.part() == DictView.Part.KEYS) {
            return view.dict().contains(item);
        }
        Iterator<Object> items = iterate(container);
        while (items.hasNext()) {
            Object next = items.next();
            if (next == item || equal(next, item)) {
                return true;
            }
        }
        return false;
    }

    /** @throws PythonException if the value is undefined */
    static void requireDefined(Object value) {
        if (value instanceof Undefined undefined) {
            throw undefined.error();
        }
    }
}
