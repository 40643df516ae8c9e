package nibble.jinja.python;

import java.math.BigInteger;
import java.util.ArrayList;
import java.util.List;

/** Computes Python's {@code value[key]} and {@code value[start:stop:step]}. */
public final class Subscript {
    private Subscript() {}

    /**
     * Returns an item.
     *
     * @throws PythonException of kind TYPE, INDEX or KEY as Python raises them
     */
    public static Object item(Object value, Object key) {
        Budget.step();
        Values.requireDefined(value);
        return switch (value) {
            case PyDict dict -> {
                Object found = dict.get(key);
                if (found == null) {
                    throw new PythonException(PythonException.Kind.KEY, "no such key");
                }
                yield found;
            }
            case String text -> Text.at(text, position(key, Text.length(text), "string"));
            case Markup markup ->
                new Markup(Text.at(markup.text(), position(key, Text.length(markup.text()), "string")));
            case PyList list -> list.items().get(position(key, list.items().size(), "list"));
            case PyTuple tuple -> tuple.items().get(position(key, tuple.items().size(), "tuple"));
            case PyRange range -> BigInteger.valueOf(range.at(position(key, range.length(), "range object")));
            default -> throw PythonException.type("'" + Values.typeName(value) + "' object is not subscriptable");
        };
    }

    private static int position(Object key, int length, String what) {
        if (!(key instanceof BigInteger || key instanceof Boolean)) {
            throw PythonException.type(what + " indices must be integers, not '" + Values.typeName(key) + "'");
        }
        long index = Numbers.index(key);
        index = index < 0 ? index + length : index;
        if (index < 0 || index >= length) {
            throw new PythonException(PythonException.Kind.INDEX, what + " index out of range");
        }
        return (int) index;
    }

    /** Returns a part of a sequence; bounds that are None are left out. */
    public static Object slice(Object value, Object start, Object stop, Object step) {
        Budget.step();
        Values.requireDefined(value);
        return switch (value) {
            case String text -> slice(text, start, stop, step);
            case Markup markup -> new Markup(slice(markup.text(), start, stop, step));
            case PyList list -> new PyList(pick(list.items(), start, stop, step));
            case PyTuple tuple -> new PyTuple(pick(tuple.items(), start, stop, step));
            case PyRange range -> {
                Slice part = Slice.of(range.length(), start, stop, step);
                yield new PyRange(range.at(part.start()), range.at(part.stop()), range.step() * part.step());
            }
            case PyDict dict -> throw PythonException.type("unhashable type: 'slice'");
            default -> throw PythonException.type("'" + Values.typeName(value) + "' object is not subscriptable");
        };
    }

    private static String slice(String text, Object start, Object stop, Object step) {
        Slice part = Slice.of(Text.length(text), start, stop, step);
        if (part.step() == 1) {
            return Text.part(text, part.start(), part.stop());
        }
        Budget.characters(text.length());
        int[] points = text.codePoints().toArray();
        StringBuilder out = new StringBuilder();
        for (int i = 0; i < part.count(); i++) {
            out.appendCodePoint(points[part.at(i)]);
        }
        return out.toString();
    }

    private static List<Object> pick(List<Object> items, Object start, Object stop, Object step) {
        Slice part = Slice.of(items.size(), start, stop, step);
        List<Object> picked = new ArrayList<>(part.count());
        for (int i = 0; i < part.count(); i++) {
            picked.add(items.get(part.at(i)));
        }
        return picked;
    }

    /** A slice of a sequence of known length, its bounds within it. */
    record Slice(int start, int stop, int step) {
        static Slice of(int length, Object start, Object stop, Object step) {
            int stride = step == None.NONE ? 1 : bound(step);
            if (stride == 0) {
                throw PythonException.value("slice step cannot be zero");
            }
            int lowest = stride < 0 ? -1 : 0;
            int highest = stride < 0 ? length - 1 : length;
            int from =
                    start == None.NONE ? (stride < 0 ? highest : lowest) : clamp(bound(start), length, lowest, highest);
            int to = stop == None.NONE ? (stride < 0 ? lowest : highest) : clamp(bound(stop), length, lowest, highest);
            return new Slice(from, to, stride);
        }

        private static int bound(Object value) {
            if (value instanceof BigInteger || value instanceof Boolean) {
                return Numbers.index(value);
            }
            Values.requireDefined(value);
            throw PythonException.type("slice indices must be integers or None or have an __index__ method");
        }

        private static int clamp(long bound, int length, int lowest, int highest) {
            return (int) Math.max(lowest, Math.min(highest, bound < 0 ? bound + length : bound));
        }

        int count() {
            long span = step > 0 ? (long) stop - start : (long) start - stop;
            return span <= 0 ? 0 : (int) ((span - 1) / Math.abs((long) step) + 1);
        }

        int at(int i) {
            return (int) (start + (long) i * step);
        }
    }
}
