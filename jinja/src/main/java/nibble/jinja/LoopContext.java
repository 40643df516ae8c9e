package nibble.jinja;

import java.math.BigInteger;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import java.util.Optional;
import nibble.jinja.python.Arguments;
import nibble.jinja.python.None;
import nibble.jinja.python.PyCallable;
import nibble.jinja.python.PyObject;
import nibble.jinja.python.PythonException;
import nibble.jinja.python.Undefined;
import nibble.jinja.python.Values;
import org.jspecify.annotations.Nullable;

/** The variable {@code loop}. It looks at items ahead of the loop only where a template asks for what needs it. */
final class LoopContext implements PyObject, PyCallable {
    /** Runs the same loop over something within an item. */
    interface Recursion {
        String run(Object items, int depth);
    }

    private final Object source;
    private final int depth0;
    private final @Nullable Recursion recursion;
    private Iterator<Object> items;
    private int index0 = -1;
    private int length = -1;
    private @Nullable Object after;
    private @Nullable Object current;
    private @Nullable Object before;
    private @Nullable List<Object> changed;

    LoopContext(Object source, int depth0, @Nullable Recursion recursion) {
        this.source = source;
        this.depth0 = depth0;
        this.recursion = recursion;
        this.items = Values.iterate(source);
    }

    /** Goes on to the next item; false if there is none. */
    boolean advance() {
        Object next = peek();
        if (next == null) {
            return false;
        }
        after = null;
        index0++;
        before = current;
        current = next;
        return true;
    }

    Object current() {
        return current == null ? None.NONE : current;
    }

    private @Nullable Object peek() {
        if (after == null && items.hasNext()) {
            after = items.next();
        }
        return after;
    }

    private int size() {
        if (length < 0) {
            Optional<Integer> known = source instanceof PyObject ? Optional.empty() : known();
            if (known.isPresent()) {
                length = known.get();
            } else {
                List<Object> rest = new ArrayList<>();
                items.forEachRemaining(rest::add);
                items = rest.iterator();
                length = rest.size() + index0 + 1 + (after == null ? 0 : 1);
            }
        }
        return length;
    }

    private Optional<Integer> known() {
        try {
            return Optional.of(Values.length(source));
        } catch (PythonException e) {
            return Optional.empty();
        }
    }

    private static BigInteger number(int value) {
        return BigInteger.valueOf(value);
    }

    @Override
    public @Nullable Object attribute(String name) {
        return switch (name) {
            case "index0" -> number(index0);
            case "index" -> number(index0 + 1);
            case "revindex0" -> number(size() - index0 - 1);
            case "revindex" -> number(size() - index0);
            case "length" -> number(size());
            case "depth0" -> number(depth0);
            case "depth" -> number(depth0 + 1);
            case "first" -> index0 == 0;
            case "last" -> peek() == null;
            case "previtem" -> index0 == 0 || before == null ? Undefined.because("there is no previous item") : before;
            case "nextitem" -> {
                Object next = peek();
                yield next == null ? Undefined.because("there is no next item") : next;
            }
            case "cycle" ->
                new PyCallable.Function("cycle", arguments -> {
                    if (arguments.positional().isEmpty()) {
                        throw new PythonException(PythonException.Kind.TYPE, "no items for cycling given");
                    }
                    return arguments
                            .positional()
                            .get(index0 % arguments.positional().size());
                });
            case "changed" -> new PyCallable.Function("changed", this::changed);
            default -> null;
        };
    }

    private boolean changed(Arguments arguments) {
        List<Object> values = arguments.positional();
        List<Object> last = changed;
        boolean same = last != null && last.size() == values.size();
        for (int i = 0; same && last != null && i < values.size(); i++) {
            same = last.get(i) == values.get(i) || Values.equal(last.get(i), values.get(i));
        }
        changed = values;
        return !same;
    }

    @Override
    public Object call(Arguments arguments) {
        Object inner = arguments.bind("loop", "iterable").get("iterable", None.NONE);
        if (recursion == null) {
            throw new PythonException(
                    PythonException.Kind.TYPE, "The loop must have the 'recursive' marker to be called recursively");
        }
        return recursion.run(inner, depth0 + 1);
    }

    @Override
    public Optional<Integer> length() {
        return Optional.of(size());
    }

    @Override
    public String text() {
        return "<LoopContext " + (index0 + 1) + "/" + size() + ">";
    }

    @Override
    public String typeName() {
        return "LoopContext";
    }
}
