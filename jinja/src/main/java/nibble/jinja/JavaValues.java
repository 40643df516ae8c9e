package nibble.jinja;

import java.math.BigDecimal;
import java.math.BigInteger;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import nibble.jinja.python.None;
import nibble.jinja.python.PyDict;
import nibble.jinja.python.PyList;
import org.jspecify.annotations.Nullable;

/** Values from outside as templates see them: texts, numbers, booleans, lists and maps. */
final class JavaValues {
    private JavaValues() {}

    static PyDict dict(Map<String, ?> map) {
        PyDict dict = new PyDict();
        map.forEach((key, value) -> dict.put(key, of(value)));
        return dict;
    }

    /** @throws IllegalArgumentException for anything else */
    private static Object of(@Nullable Object value) {
        return switch (value) {
            case null -> None.NONE;
            case String text -> text;
            case Boolean truth -> truth;
            case BigInteger number -> number;
            case Integer number -> BigInteger.valueOf(number);
            case Long number -> BigInteger.valueOf(number);
            case Double number -> number;
            case Float number -> number.doubleValue();
            case BigDecimal number -> number.doubleValue();
            case List<?> list -> {
                List<Object> items = new ArrayList<>();
                list.forEach(item -> items.add(of(item)));
                yield new PyList(items);
            }
            case Map<?, ?> map -> {
                PyDict dict = new PyDict();
                map.forEach((key, item) -> dict.put(String.valueOf(key), of(item)));
                yield dict;
            }
            default ->
                throw new IllegalArgumentException(
                        "a template cannot see a " + value.getClass().getSimpleName());
        };
    }
}
