package nibble.jinja.python;

import java.util.Iterator;

/**
 * Holds a generator: it can be gone through once, has no length and is true.
 *
 * @param items what is left of it
 */
public record PyIterator(Iterator<Object> items) {
    @Override
    public boolean equals(Object other) {
        return this == other;
    }

    @Override
    public int hashCode() {
        return System.identityHashCode(this);
    }
}
