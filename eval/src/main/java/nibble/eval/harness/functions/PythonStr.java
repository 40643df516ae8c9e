package nibble.eval.harness.functions;

import java.time.ZonedDateTime;
import java.util.Arrays;
import java.util.Map;
import nibble.jinja.Template;
import nibble.jinja.python.Repr;
import org.jspecify.annotations.Nullable;

/** Writes values of documents as Python's {@code str} does. */
public final class PythonStr {
    private static final Template VALUE = Template.chat("{{ value }}");

    private PythonStr() {}

    /** Compares by code points, as Python compares texts. */
    static int compare(String a, String b) {
        return Arrays.compare(a.codePoints().toArray(), b.codePoints().toArray());
    }

    public static String of(@Nullable Object value) {
        return switch (value) {
            case null -> "None";
            case String text -> text;
            case Boolean yes -> yes ? "True" : "False";
            case Long number -> number.toString();
            case Double number -> Repr.str(number);
            default -> VALUE.render(Map.of("value", value), ZonedDateTime::now);
        };
    }
}
