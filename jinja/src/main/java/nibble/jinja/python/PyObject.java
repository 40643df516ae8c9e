package nibble.jinja.python;

import java.util.Iterator;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/** Stands for an object of Jinja's own, as a namespace or {@code loop}: it says itself which attributes it has. */
public interface PyObject {
    /** Returns an attribute's value; null if there is none. */
    @Nullable
    Object attribute(String name);

    /** Shows it as {@code str} does. */
    String text();

    /** Returns the name of its type. */
    String typeName();

    /** Returns what {@code len} gives; empty if it has no length. */
    default Optional<Integer> length() {
        return Optional.empty();
    }

    /** Returns an iterator over what a loop goes through; empty if it cannot be iterated. */
    default Optional<Iterator<Object>> iterator() {
        return Optional.empty();
    }
}
