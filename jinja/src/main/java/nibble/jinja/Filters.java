package nibble.jinja;

import java.util.HashMap;
import java.util.Map;
import java.util.Set;
import nibble.jinja.python.Arguments;
import nibble.jinja.python.Budget;
import nibble.jinja.python.PythonException;

/** All filters by their names. */
final class Filters {
    /** A filter: the value before the bar and the arguments in parentheses. */
    interface Filter {
        Object apply(Object value, Arguments arguments);
    }

    /** Filters of Jinja2 whose results are random, or a page of HTML; no chat template needs them. */
    private static final Set<String> NOT_SUPPORTED = Set.of("random", "urlize");

    private static final Map<String, Filter> ALL = new HashMap<>();

    static {
        TextFilters.add(ALL);
        LayoutFilters.add(ALL);
        ItemFilters.add(ALL);
        SequenceFilters.add(ALL);
        ValueFilters.add(ALL);
    }

    private Filters() {}

    static boolean exists(String name) {
        return ALL.containsKey(name) || NOT_SUPPORTED.contains(name);
    }

    static Object apply(String name, Object value, Arguments arguments) {
        Budget.step();
        Filter filter = ALL.get(name);
        if (filter != null) {
            return filter.apply(value, arguments);
        }
        throw NOT_SUPPORTED.contains(name)
                ? new PythonException(PythonException.Kind.LIMIT, "the filter '" + name + "' is not supported")
                : new PythonException(PythonException.Kind.RUNTIME, "No filter named '" + name + "' found");
    }

    /** A filter's wrong argument. */
    static PythonException wrong(String message) {
        return new PythonException(PythonException.Kind.RUNTIME, message);
    }
}
