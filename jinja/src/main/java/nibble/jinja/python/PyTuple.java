package nibble.jinja.python;

import java.util.List;
import java.util.Map;

/**
 * Holds Python's {@code tuple}.
 *
 * @param items what it holds
 * @param names names by which items are also attributes, as those of groupby's tuples; mostly none
 */
public record PyTuple(List<Object> items, Map<String, Integer> names) {
    public PyTuple {
        Budget.items(items.size());
    }

    public PyTuple(List<Object> items) {
        this(items, Map.of());
    }

    public static PyTuple of(Object... items) {
        return new PyTuple(List.of(items));
    }

    @Override
    public boolean equals(Object other) {
        return this == other;
    }

    @Override
    public int hashCode() {
        return System.identityHashCode(this);
    }
}
