package nibble.jinja.python;

import java.util.ArrayList;
import java.util.List;

/**
 * Holds Python's {@code list}. The sandbox lets no template change one, so its items are never changed once it is made.
 */
public record PyList(List<Object> items) {
    /** Takes over a list that nobody else changes. */
    public PyList {
        Budget.items(items.size());
    }

    public static PyList of(Object... items) {
        return new PyList(new ArrayList<>(List.of(items)));
    }

    // Equality is Python's, by Values.equal; as a Java object a list is itself alone.
    @Override
    public boolean equals(Object other) {
        return this == other;
    }

    @Override
    public int hashCode() {
        return System.identityHashCode(this);
    }
}
