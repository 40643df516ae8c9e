package nibble.jinja;

import java.util.HashMap;
import java.util.Map;
import nibble.jinja.python.Undefined;
import nibble.jinja.syntax.Statement;
import org.jspecify.annotations.Nullable;

/** Names and their values at one place of a rendering. */
final class Scope {
    private static final Object MISSING = new Object();

    private final @Nullable Scope outside;
    private final Map<String, Object> values = new HashMap<>();

    Scope(@Nullable Scope outside) {
        this.outside = outside;
    }

    /** A scope for statements, with the names that are theirs alone. */
    Scope(Scope outside, Statement.Body body) {
        this(outside);
        body.undefined().forEach(this::unset);
    }

    void set(String name, Object value) {
        values.put(name, value);
    }

    /** Makes a name one without a value, whatever it is outside. */
    void unset(String name) {
        values.put(name, MISSING);
    }

    Object get(String name) {
        for (Scope scope = this; scope != null; scope = scope.outside) {
            Object value = scope.values.get(name);
            if (value != null) {
                return value == MISSING ? Undefined.name(name) : value;
            }
        }
        return Undefined.name(name);
    }
}
