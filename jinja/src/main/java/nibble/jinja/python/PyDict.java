package nibble.jinja.python;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/** Holds Python's {@code dict}: in order of insertion; keys that are equal in Python, as 1 and True, are one key. */
public final class PyDict {
    private final Map<Object, Entry> entries = new LinkedHashMap<>();

    /** Holds a key as it was first given, and its value. */
    public record Entry(Object key, Object value) {
        /** Python's tuple of both. */
        PyTuple tuple() {
            return PyTuple.of(key, value);
        }
    }

    /**
     * Returns the value of a key.
     *
     * @throws PythonException if the key is a list or a dict
     */
    public @Nullable Object get(Object key) {
        Entry entry = entries.get(Values.key(key));
        return entry == null ? null : entry.value();
    }

    /**
     * Puts a value under a key.
     *
     * @throws PythonException if the key is a list or a dict
     */
    public void put(Object key, Object value) {
        Budget.items(2);
        Object canonical = Values.key(key);
        Entry before = entries.get(canonical);
        entries.put(canonical, new Entry(before == null ? key : before.key(), value));
    }

    /** Takes a key out; empty if it is not there. */
    public Optional<Object> remove(Object key) {
        return Optional.ofNullable(entries.remove(Values.key(key))).map(Entry::value);
    }

    public boolean contains(Object key) {
        return entries.containsKey(Values.key(key));
    }

    public int size() {
        return entries.size();
    }

    /** Returns all entries in order. */
    public List<Entry> entries() {
        Budget.items(entries.size());
        return new ArrayList<>(entries.values());
    }

    /** Returns a dict of the same entries. */
    public PyDict copy() {
        PyDict copy = new PyDict();
        Budget.items(2L * entries.size());
        copy.entries.putAll(entries);
        return copy;
    }
}
