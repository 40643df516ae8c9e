package nibble.jinja;

import java.math.BigInteger;
import java.util.ArrayList;
import java.util.Collections;
import java.util.Comparator;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import nibble.jinja.python.Arguments;
import nibble.jinja.python.Arithmetic;
import nibble.jinja.python.Budget;
import nibble.jinja.python.Markup;
import nibble.jinja.python.None;
import nibble.jinja.python.PyIterator;
import nibble.jinja.python.PyList;
import nibble.jinja.python.PyTuple;
import nibble.jinja.python.PythonException;
import nibble.jinja.python.Repr;
import nibble.jinja.python.Text;
import nibble.jinja.python.Undefined;
import nibble.jinja.python.Values;

/** Filters that take a whole sequence. */
final class SequenceFilters {
    private SequenceFilters() {}

    static void add(Map<String, Filters.Filter> all) {
        Filters.Filter length = (value, arguments) -> {
            arguments.bind("len");
            return BigInteger.valueOf(Values.length(value));
        };
        all.put("length", length);
        all.put("count", length);
        all.put("list", (value, arguments) -> {
            arguments.bind("list");
            return new PyList(Values.list(value));
        });
        all.put("first", (value, arguments) -> {
            arguments.bind("first");
            Iterator<Object> items = Values.iterate(value);
            return items.hasNext() ? items.next() : Undefined.because("No first item, sequence was empty.");
        });
        all.put("last", (value, arguments) -> {
            arguments.bind("last");
            Iterator<Object> items = Values.reversed(value);
            return items.hasNext() ? items.next() : Undefined.because("No last item, sequence was empty.");
        });
        all.put("reverse", SequenceFilters::reverse);
        all.put("join", SequenceFilters::join);
        all.put("sort", SequenceFilters::sort);
        all.put("dictsort", SequenceFilters::dictsort);
        all.put("min", (value, arguments) -> extreme(value, arguments, "min"));
        all.put("max", (value, arguments) -> extreme(value, arguments, "max"));
        all.put("sum", SequenceFilters::sum);
        all.put("groupby", SequenceFilters::groupby);
        all.put("batch", SequenceFilters::batch);
        all.put("slice", SequenceFilters::slice);
    }

    private static Object reverse(Object value, Arguments arguments) {
        arguments.bind("reverse");
        if (Values.isText(value)) {
            StringBuilder out = new StringBuilder();
            Values.reversed(value).forEachRemaining(out::append);
            return value instanceof Markup ? new Markup(out.toString()) : out.toString();
        }
        if (value instanceof PyIterator) {
            List<Object> items = Values.list(value);
            Collections.reverse(items);
            return new PyList(items);
        }
        if (!Values.isIterable(value)) {
            throw Filters.wrong("argument must be iterable");
        }
        return new PyIterator(Values.reversed(value));
    }

    private static Object join(Object value, Arguments arguments) {
        Arguments.Bound bound = arguments.bind("join", "d?", "attribute?");
        Object attribute = bound.get("attribute", None.NONE);
        AttributePath path = AttributePath.of(attribute);
        List<String> texts = new ArrayList<>();
        Values.iterate(value).forEachRemaining(item -> texts.add(Repr.str(path.get(item))));
        return Text.join(Repr.str(bound.get("d", "")), texts);
    }

    private static List<Object> sorted(List<Object> items, Comparator<Object> order, boolean reverse) {
        List<Object> sorted = new ArrayList<>(items);
        try {
            sorted.sort(reverse ? order.reversed() : order);
        } catch (IllegalArgumentException e) {
            // Not a number has no place in any order.
            throw new PythonException(PythonException.Kind.LIMIT, "sorts values that have no order");
        }
        return sorted;
    }

    private static Object sort(Object value, Arguments arguments) {
        Arguments.Bound bound = arguments.bind("sort", "reverse?", "case_sensitive?", "attribute?");
        boolean caseSensitive = bound.truth("case_sensitive", false);
        List<AttributePath> paths = AttributePath.several(bound.get("attribute"));
        List<Object> pairs = new ArrayList<>();
        for (Object item : Values.list(value)) {
            List<Object> keys = new ArrayList<>();
            paths.forEach(path -> keys.add(AttributePath.folded(path.get(item), caseSensitive)));
            pairs.add(PyTuple.of(new PyList(keys), item));
        }
        List<Object> sorted =
                sorted(pairs, (a, b) -> Values.order(part(a, 0), part(b, 0)), bound.truth("reverse", false));
        List<Object> items = new ArrayList<>();
        sorted.forEach(pair -> items.add(part(pair, 1)));
        return new PyList(items);
    }

    private static Object part(Object tuple, int index) {
        return tuple instanceof PyTuple items ? items.items().get(index) : tuple;
    }

    private static Object dictsort(Object value, Arguments arguments) {
        Arguments.Bound bound = arguments.bind("dictsort", "case_sensitive?", "by?", "reverse?");
        boolean caseSensitive = bound.truth("case_sensitive", false);
        Object by = bound.get("by", "key");
        int part = by.equals("key") ? 0 : by.equals("value") ? 1 : -1;
        if (part < 0) {
            throw Filters.wrong("You can only sort by either \"key\" or \"value\"");
        }
        List<Object> items = Values.list(TextFilters.method(value, "items", Arguments.NONE));
        return new PyList(sorted(
                items,
                (a, b) -> Values.order(
                        AttributePath.folded(part(a, part), caseSensitive),
                        AttributePath.folded(part(b, part), caseSensitive)),
                bound.truth("reverse", false)));
    }

    private static Object extreme(Object value, Arguments arguments, String which) {
        Arguments.Bound bound = arguments.bind(which, "case_sensitive?", "attribute?");
        boolean caseSensitive = bound.truth("case_sensitive", false);
        AttributePath path = AttributePath.of(bound.get("attribute"));
        Iterator<Object> items = Values.iterate(value);
        if (!items.hasNext()) {
            return Undefined.because("No aggregated item, sequence was empty.");
        }
        Object best = items.next();
        Object bestKey = AttributePath.folded(path.get(best), caseSensitive);
        while (items.hasNext()) {
            Object item = items.next();
            Object key = AttributePath.folded(path.get(item), caseSensitive);
            if (Values.compare(which.equals("min") ? "<" : ">", key, bestKey)) {
                best = item;
                bestKey = key;
            }
        }
        return best;
    }

    private static Object sum(Object value, Arguments arguments) {
        Arguments.Bound bound = arguments.bind("sum", "attribute?", "start?");
        AttributePath path = AttributePath.of(bound.get("attribute"));
        Object total = bound.get("start", BigInteger.ZERO);
        if (Values.isText(total)) {
            throw new PythonException(PythonException.Kind.TYPE, "sum() can't sum strings");
        }
        Iterator<Object> items = Values.iterate(value);
        while (items.hasNext()) {
            total = Arithmetic.apply("+", total, path.get(items.next()));
        }
        return total;
    }

    private static Object groupby(Object value, Arguments arguments) {
        Arguments.Bound bound = arguments.bind("groupby", "attribute", "default?", "case_sensitive?");
        boolean caseSensitive = bound.truth("case_sensitive", false);
        AttributePath path = AttributePath.of(bound.get("attribute"));
        Object otherwise = bound.get("default", None.NONE);
        List<Object> pairs = new ArrayList<>();
        for (Object item : Values.list(value)) {
            pairs.add(PyTuple.of(AttributePath.folded(path.get(item, otherwise), caseSensitive), item));
        }
        List<Object> groups = new ArrayList<>();
        List<Object> group = new ArrayList<>();
        List<Object> sorted = sorted(pairs, (a, b) -> Values.order(part(a, 0), part(b, 0)), false);
        for (int i = 0; i < sorted.size(); i++) {
            group.add(part(sorted.get(i), 1));
            if (i + 1 == sorted.size() || !Values.equal(part(sorted.get(i), 0), part(sorted.get(i + 1), 0))) {
                // The key as the first item has it, not in lower case.
                Object key = path.get(group.getFirst(), otherwise);
                groups.add(new PyTuple(List.of(key, new PyList(group)), Map.of("grouper", 0, "list", 1)));
                group = new ArrayList<>();
            }
        }
        return new PyList(groups);
    }

    private static Object batch(Object value, Arguments arguments) {
        Arguments.Bound bound = arguments.bind("batch", "linecount", "fill_with?");
        Object size = bound.get("linecount", None.NONE);
        Object fill = bound.get("fill_with", None.NONE);
        return ItemFilters.lazily(() -> {
            List<Object> batches = new ArrayList<>();
            List<Object> batch = new ArrayList<>();
            for (Object item : Values.list(value)) {
                if (Values.equal(BigInteger.valueOf(batch.size()), size)) {
                    batches.add(new PyList(batch));
                    batch = new ArrayList<>();
                }
                batch.add(item);
            }
            if (!batch.isEmpty()) {
                int more = fill == None.NONE ? 0 : bound.integer("linecount", 1) - batch.size();
                Budget.items(Math.max(0, more));
                batch.addAll(Collections.nCopies(Math.max(0, more), fill));
                batches.add(new PyList(batch));
            }
            return batches.iterator();
        });
    }

    private static Object slice(Object value, Arguments arguments) {
        Arguments.Bound bound = arguments.bind("slice", "slices", "fill_with?");
        return ItemFilters.lazily(() -> {
            int slices = bound.integer("slices", 1);
            Object fill = bound.get("fill_with", None.NONE);
            List<Object> items = Values.list(value);
            if (slices == 0) {
                throw new PythonException(PythonException.Kind.ZERO_DIVISION, "integer division or modulo by zero");
            }
            Budget.items(Math.max(0, slices));
            List<Object> all = new ArrayList<>();
            int each = Math.floorDiv(items.size(), slices);
            int extra = Math.floorMod(items.size(), slices);
            int at = 0;
            for (int i = 0; i < slices; i++) {
                int end = at + each + (i < extra ? 1 : 0);
                List<Object> part = new ArrayList<>(items.subList(at, end));
                if (fill != None.NONE && i >= extra) {
                    part.add(fill);
                }
                all.add(new PyList(part));
                at = end;
            }
            return all.iterator();
        });
    }
}
