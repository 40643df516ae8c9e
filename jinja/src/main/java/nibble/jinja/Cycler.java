package nibble.jinja;

import java.util.List;
import nibble.jinja.python.None;
import nibble.jinja.python.PyCallable;
import nibble.jinja.python.PyObject;
import nibble.jinja.python.PyTuple;
import org.jspecify.annotations.Nullable;

/** Gives one of some values after the other, and begins again at the end. */
final class Cycler implements PyObject {
    private final List<Object> items;
    private int next;

    /** @param items at least one */
    Cycler(List<Object> items) {
        this.items = List.copyOf(items);
    }

    @Override
    public @Nullable Object attribute(String name) {
        return switch (name) {
            case "current" -> items.get(next);
            case "pos" -> java.math.BigInteger.valueOf(next);
            case "items" -> new PyTuple(items);
            case "next" ->
                new PyCallable.Function(name, arguments -> {
                    arguments.bind("next");
                    Object value = items.get(next);
                    next = (next + 1) % items.size();
                    return value;
                });
            case "reset" ->
                new PyCallable.Function(name, arguments -> {
                    arguments.bind("reset");
                    next = 0;
                    return None.NONE;
                });
            default -> null;
        };
    }

    @Override
    public String text() {
        return "<Cycler>";
    }

    @Override
    public String typeName() {
        return "Cycler";
    }
}
