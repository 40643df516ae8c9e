package nibble.jinja.python;

import java.math.BigInteger;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * Holds the arguments of a call.
 *
 * @param positional in order
 * @param named by keyword, in order
 */
public record Arguments(List<Object> positional, Map<String, Object> named) {
    public static final Arguments NONE = new Arguments(List.of(), Map.of());

    public static Arguments of(Object... positional) {
        return new Arguments(List.of(positional), Map.of());
    }

    /** Returns the same without its first positional arguments. */
    public Arguments after(int count) {
        return new Arguments(positional.subList(count, positional.size()), named);
    }

    /**
     * Binds the arguments to a signature.
     *
     * @param function for messages
     * @param signature parameters' names; those that end in {@code ?} may be left out, those that begin with {@code /}
     *     have no name for callers
     * @throws PythonException of kind TYPE if they do not fit
     */
    public Bound bind(String function, String... signature) {
        if (positional.size() > signature.length) {
            throw PythonException.type(
                    function + "() takes at most " + signature.length + " arguments, " + positional.size() + " given");
        }
        Map<String, Object> left = new LinkedHashMap<>(named);
        Map<String, Object> values = new LinkedHashMap<>();
        for (int i = 0; i < signature.length; i++) {
            boolean optional = signature[i].endsWith("?");
            boolean unnamed = signature[i].startsWith("/");
            String name = signature[i].substring(unnamed ? 1 : 0, signature[i].length() - (optional ? 1 : 0));
            Object value = unnamed ? null : left.remove(name);
            if (i < positional.size()) {
                if (value != null) {
                    throw PythonException.type(function + "() got multiple values for argument '" + name + "'");
                }
                value = positional.get(i);
            }
            if (value != null) {
                values.put(name, value);
            } else if (!optional) {
                throw PythonException.type(function + "() lacks its argument '" + name + "'");
            }
        }
        if (!left.isEmpty()) {
            throw PythonException.type(function + "() got an unexpected keyword argument '"
                    + left.keySet().iterator().next() + "'");
        }
        return new Bound(function, values);
    }

    /** Holds arguments by the names of a signature. */
    public record Bound(String function, Map<String, Object> values) {
        /** Returns the value, or null where it was left out. */
        public @Nullable Object get(String name) {
            return values.get(name);
        }

        public Object get(String name, Object otherwise) {
            return values.getOrDefault(name, otherwise);
        }

        public boolean truth(String name, boolean otherwise) {
            Object value = values.get(name);
            return value == null ? otherwise : Values.truth(value);
        }

        /** Returns a text that must be one. */
        public String text(String name) {
            Object value = values.get(name);
            if (value instanceof String || value instanceof Markup) {
                return value.toString();
            }
            throw PythonException.type(function + "() argument '" + name + "' must be str, not "
                    + (value == null ? "nothing" : Values.typeName(value)));
        }

        /** Returns a text, or null where it was left out or is None. */
        public @Nullable String textOrNone(String name) {
            Object value = values.get(name);
            return value == null || value == None.NONE ? null : text(name);
        }

        /** Returns a whole number within int's bounds. */
        public int integer(String name, int otherwise) {
            Object value = values.get(name);
            return value == null ? otherwise : Numbers.index(value);
        }

        /** Returns a whole number of any size. */
        public BigInteger whole(String name, BigInteger otherwise) {
            Object value = values.get(name);
            return value == null ? otherwise : Numbers.whole(value);
        }
    }
}
