package nibble.jinja.python;

import java.util.Iterator;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/** An object of Jinja's own, as a namespace or {@code loop}: it says itself which attributes it has. */
public interface PyObject {
    /** An attribute's value; null if there is none. */
    @Nullable
    Object attribute(String name);

    /** As {@code str} shows it. */
    String text();

    /** The name of its type. */
    String typeName();

    /** What {@code len} gives; empty if it has no length. */
    default Optional<Integer> length() {
        return Optional.empty();
    }

    /** What a loop over it goes through; empty if it cannot be iterated. */
    default Optional<Iterator<Object>> iterator() {
        return Optional.empty();
    }
}
