package nibble.datasets.evaluation;

import java.util.regex.Pattern;
import nibble.datasets.PythonText;

/** Cleans texts of HellaSwag as the harness does, step by step. */
public final class HellaSwagText {
    /** Artifacts of the WikiHow part; as in Python, a bracket's text stays on its line. */
    private static final Pattern BRACKETS = Pattern.compile("\\[.*?\\]", Pattern.UNIX_LINES);

    private HellaSwagText() {}

    /** Returns the beginning of a text, of the columns {@code activity_label}, {@code ctx_a} and {@code ctx_b}. */
    public static String query(String activity, String first, String second) {
        return clean(activity + ": " + first + " " + PythonText.capitalize(second));
    }

    /** Returns a text without artifacts. */
    public static String clean(String text) {
        String clean = PythonText.strip(text).replace(" [title]", ". ");
        return BRACKETS.matcher(clean).replaceAll("").replace("  ", " ");
    }
}
