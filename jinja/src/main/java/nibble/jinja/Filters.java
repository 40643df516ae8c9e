package nibble.jinja;

import java.util.HashMap;
import java.util.Map;
import java.util.Set;
import nibble.jinja.python.Arguments;
import nibble.jinja.python.Budget;
import nibble.jinja.python.PythonException;
import nibble.jinja.python.Repr;
import org.jspecify.annotations.Nullable;

/** All filters by their names. */
final class Filters {
    /** A filter: the value before the bar and the arguments in parentheses. */
    interface Filter {
        Object apply(Object value, Arguments arguments);
    }

    /** Filters of Jinja2 whose results are random, or a page of HTML; no chat template needs them. */
    private static final Set<String> NOT_SUPPORTED = Set.of("random", "urlize");

    /** Only templates of tasks have it. */
    private static final String REGEX_REPLACE = "regex_replace";

    private static final Map<String, Filter> ALL = new HashMap<>();

    static {
        TextFilters.add(ALL);
        LayoutFilters.add(ALL);
        ItemFilters.add(ALL);
        SequenceFilters.add(ALL);
        ValueFilters.add(ALL);
        ALL.put(REGEX_REPLACE, Filters::regexReplace);
    }

    private Filters() {}

    static boolean exists(String name) {
        return named(name) != null || NOT_SUPPORTED.contains(name);
    }

    private static @Nullable Filter named(String name) {
        boolean ofTasks = Dialect.PRESENT.isBound() && Dialect.PRESENT.get() == Dialect.TASK;
        return name.equals(REGEX_REPLACE) && !ofTasks ? null : ALL.get(name);
    }

    static Object apply(String name, Object value, Arguments arguments) {
        Budget.step();
        Filter filter = named(name);
        if (filter != null) {
            return filter.apply(value, arguments);
        }
        throw NOT_SUPPORTED.contains(name)
                ? new PythonException(PythonException.Kind.LIMIT, "the filter '" + name + "' is not supported")
                : new PythonException(PythonException.Kind.RUNTIME, "No filter named '" + name + "' found");
    }

    /** The harness's filter: Python's {@code re.sub(pattern, repl, value, count)}. */
    private static Object regexReplace(Object value, Arguments arguments) {
        Arguments.Bound bound = arguments.bind(REGEX_REPLACE, "pattern", "repl", "count?");
        return PythonRegex.of(Repr.str(bound.get("pattern", "")))
                .replace(Repr.str(value), Repr.str(bound.get("repl", "")), bound.integer("count", 0));
    }

    /** A filter's wrong argument. */
    static PythonException wrong(String message) {
        return new PythonException(PythonException.Kind.RUNTIME, message);
    }
}
