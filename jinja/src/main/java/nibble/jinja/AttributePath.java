package nibble.jinja;

import java.math.BigInteger;
import java.util.ArrayList;
import java.util.List;
import nibble.jinja.python.Attributes;
import nibble.jinja.python.CharacterCases;
import nibble.jinja.python.None;
import nibble.jinja.python.Undefined;
import nibble.jinja.python.Values;
import org.jspecify.annotations.Nullable;

/** The attribute that filters look at, as {@code function.name} or {@code pairs.0}; none means the item itself. */
final class AttributePath {
    private final List<Object> parts;

    private AttributePath(List<Object> parts) {
        this.parts = parts;
    }

    static AttributePath of(@Nullable Object attribute) {
        List<Object> parts = new ArrayList<>();
        if (attribute != null && Values.isText(attribute)) {
            for (String part : attribute.toString().split("\\.", -1)) {
                boolean number =
                        !part.isEmpty() && part.length() < 10 && part.chars().allMatch(c -> c >= '0' && c <= '9');
                parts.add(number ? (Object) new BigInteger(part) : part);
            }
        } else if (attribute != null && attribute != None.NONE) {
            parts.add(attribute);
        }
        return new AttributePath(parts);
    }

    /** Several, with commas between them. */
    static List<AttributePath> several(@Nullable Object attribute) {
        List<AttributePath> paths = new ArrayList<>();
        if (attribute != null && Values.isText(attribute)) {
            for (String one : attribute.toString().split(",", -1)) {
                paths.add(of(one));
            }
        } else {
            paths.add(of(attribute));
        }
        return paths;
    }

    Object get(Object item) {
        return get(item, null);
    }

    /** @param otherwise what an undefined part becomes; null for itself */
    Object get(Object item, @Nullable Object otherwise) {
        Object value = item;
        for (Object part : parts) {
            value = Attributes.bracket(value, part);
            if (otherwise != null && otherwise != None.NONE && value instanceof Undefined) {
                value = otherwise;
            }
        }
        return value;
    }

    /** The value in lower case if it is a text and case does not matter. */
    static Object folded(Object value, boolean caseSensitive) {
        return !caseSensitive && Values.isText(value) ? CharacterCases.lower(value.toString()) : value;
    }
}
