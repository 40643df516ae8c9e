package nibble.jinja.python;

import java.util.ArrayList;
import java.util.List;

/**
 * Holds what {@code keys()}, {@code values()} and {@code items()} of a dict return.
 *
 * @param dict whose
 * @param part which
 */
public record DictView(PyDict dict, Part part) {
    /** Lists the three. */
    public enum Part {
        KEYS,
        VALUES,
        ITEMS
    }

    List<Object> items() {
        List<Object> items = new ArrayList<>();
        for (PyDict.Entry entry : dict.entries()) {
            items.add(
                    switch (part) {
                        case KEYS -> entry.key();
                        case VALUES -> entry.value();
                        case ITEMS -> entry.tuple();
                    });
        }
        return items;
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
