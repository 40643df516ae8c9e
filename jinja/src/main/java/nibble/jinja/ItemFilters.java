package nibble.jinja;

import java.util.Collections;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.NoSuchElementException;
import java.util.function.Function;
import java.util.function.Predicate;
import java.util.function.Supplier;
import java.util.function.UnaryOperator;
import nibble.jinja.python.Arguments;
import nibble.jinja.python.DictView;
import nibble.jinja.python.None;
import nibble.jinja.python.PyDict;
import nibble.jinja.python.PyIterator;
import nibble.jinja.python.PythonException;
import nibble.jinja.python.Undefined;
import nibble.jinja.python.Values;
import org.jspecify.annotations.Nullable;

/** Filters that go through items one by one, and only as far as is asked: their results are generators. */
final class ItemFilters {
    private ItemFilters() {}

    static void add(Map<String, Filters.Filter> all) {
        all.put("map", ItemFilters::map);
        all.put("select", (value, arguments) -> select(value, arguments, false, true));
        all.put("reject", (value, arguments) -> select(value, arguments, false, false));
        all.put("selectattr", (value, arguments) -> select(value, arguments, true, true));
        all.put("rejectattr", (value, arguments) -> select(value, arguments, true, false));
        all.put("unique", ItemFilters::unique);
        all.put("items", (value, arguments) -> {
            arguments.bind("items");
            return lazily(() -> switch (value) {
                case Undefined undefined -> Collections.emptyIterator();
                case PyDict dict -> Values.iterate(new DictView(dict, DictView.Part.ITEMS));
                default ->
                    throw new PythonException(PythonException.Kind.TYPE, "Can only get item pairs from a mapping.");
            });
        });
    }

    /** A generator that does nothing before it is asked for its first item. */
    static PyIterator lazily(Supplier<Iterator<Object>> start) {
        return new PyIterator(new Iterator<>() {
            private @Nullable Iterator<Object> items;

            private Iterator<Object> items() {
                Iterator<Object> begun = items == null ? start.get() : items;
                items = begun;
                return begun;
            }

            @Override
            public boolean hasNext() {
                return items().hasNext();
            }

            @Override
            public Object next() {
                return items().next();
            }
        });
    }

    private static Iterator<Object> mapped(Iterator<Object> items, UnaryOperator<Object> function) {
        return new Iterator<>() {
            @Override
            public boolean hasNext() {
                return items.hasNext();
            }

            @Override
            public Object next() {
                return function.apply(items.next());
            }
        };
    }

    private static Iterator<Object> chosen(Iterator<Object> items, Predicate<Object> predicate) {
        return new Iterator<>() {
            private @Nullable Object next;

            @Override
            public boolean hasNext() {
                while (next == null && items.hasNext()) {
                    Object item = items.next();
                    next = predicate.test(item) ? item : null;
                }
                return next != null;
            }

            @Override
            public Object next() {
                if (!hasNext() || next == null) {
                    throw new NoSuchElementException();
                }
                Object item = next;
                next = null;
                return item;
            }
        };
    }

    private static Object map(Object value, Arguments arguments) {
        return lazily(() ->
                Values.truth(value) ? mapped(Values.iterate(value), mapping(arguments)) : Collections.emptyIterator());
    }

    private static UnaryOperator<Object> mapping(Arguments arguments) {
        if (arguments.positional().isEmpty() && arguments.named().containsKey("attribute")) {
            if (arguments.named().keySet().stream()
                    .anyMatch(name -> !name.equals("attribute") && !name.equals("default"))) {
                throw Filters.wrong("Unexpected keyword argument of map");
            }
            AttributePath path = AttributePath.of(arguments.named().get("attribute"));
            Object otherwise = arguments.named().getOrDefault("default", None.NONE);
            return item -> path.get(item, otherwise);
        }
        if (arguments.positional().isEmpty()) {
            throw Filters.wrong("map requires a filter argument");
        }
        Object name = arguments.positional().getFirst();
        Arguments rest = arguments.after(1);
        return item -> Filters.apply(text(name), item, rest);
    }

    private static String text(Object name) {
        if (!Values.isText(name)) {
            throw new PythonException(
                    PythonException.Kind.RUNTIME, "no filter or test has a name of type " + Values.typeName(name));
        }
        return name.toString();
    }

    private static Object select(Object value, Arguments arguments, boolean byAttribute, boolean wanted) {
        return lazily(() -> {
            if (!Values.truth(value)) {
                return Collections.emptyIterator();
            }
            List<Object> positional = arguments.positional();
            if (byAttribute && positional.isEmpty()) {
                throw Filters.wrong("Missing parameter for attribute name");
            }
            AttributePath path = byAttribute ? AttributePath.of(positional.getFirst()) : AttributePath.of(null);
            int used = byAttribute ? 1 : 0;
            Function<Object, Object> test = Values::truth;
            if (positional.size() > used) {
                Object name = positional.get(used);
                Arguments rest = arguments.after(used + 1);
                test = item -> Tests.apply(text(name), item, rest);
            }
            Function<Object, Object> asked = test;
            return chosen(Values.iterate(value), item -> Values.truth(asked.apply(path.get(item))) == wanted);
        });
    }

    private static Object unique(Object value, Arguments arguments) {
        Arguments.Bound bound = arguments.bind("unique", "case_sensitive?", "attribute?");
        boolean caseSensitive = bound.truth("case_sensitive", false);
        return lazily(() -> {
            AttributePath path = AttributePath.of(bound.get("attribute"));
            PyDict seen = new PyDict();
            return chosen(Values.iterate(value), item -> {
                Object key = AttributePath.folded(path.get(item), caseSensitive);
                boolean fresh = !seen.contains(key);
                seen.put(key, None.NONE);
                return fresh;
            });
        });
    }
}
