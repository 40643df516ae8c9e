package nibble.eval.harness.functions;

import java.util.Map;
import java.util.regex.Pattern;
import nibble.datasets.BadDatasetException;
import org.jspecify.annotations.Nullable;

/** Finds the answers of MATH's problems in texts, and compares them after their LaTeX is written alike. */
public final class MathAnswers {
    /** What the harness takes for an answer where there is none. */
    static final String NONE = "[invalidanswer]";

    private static final Pattern WHOLE = Pattern.compile("[+-]?\\d+(_\\d+)*");

    private MathAnswers() {}

    /** What keeps a text from being written in the common form. */
    private static final class OddTextException extends RuntimeException {
        @java.io.Serial
        private static final long serialVersionUID = 1;
    }

    /**
     * What stands in the last box of a solution.
     *
     * @param lenient whether a solution without one is taken, for {@link #NONE}
     */
    static String boxed(String solution, boolean lenient) {
        String box = lastBox(solution);
        String inside = null;
        if (box != null && box.contains("\\boxed ")) {
            inside = box.startsWith("\\boxed ") ? box.substring(7) : null;
        } else if (box != null && box.startsWith("\\boxed{") && box.endsWith("}")) {
            inside = box.substring(7, box.length() - 1);
        }
        if (inside == null && !lenient) {
            throw new BadDatasetException("a solution without \\boxed{…}: " + solution);
        }
        return inside == null ? NONE : inside;
    }

    private static @Nullable String lastBox(String text) {
        int spaced = text.lastIndexOf("\\boxed ");
        if (spaced >= 0) {
            return "\\boxed " + text.substring(spaced + 7).split("\\$", 2)[0];
        }
        int begin = Math.max(text.lastIndexOf("\\boxed"), -1);
        if (begin < 0) {
            begin = text.lastIndexOf("\\fbox");
        }
        int open = 0;
        for (int i = begin; begin >= 0 && i < text.length(); i++) {
            open += text.charAt(i) == '{' ? 1 : text.charAt(i) == '}' ? -1 : 0;
            if (text.charAt(i) == '}' && open == 0) {
                return text.substring(begin, i + 1);
            }
        }
        return null;
    }

    /** Judges an answer of hendrycks_math: what stands between the first and the last dollar, or all of it. */
    public static Map<String, Object> scores(Map<String, @Nullable Object> document, @Nullable Object response) {
        String text = String.valueOf(response);
        int first = text.indexOf('$');
        int last = text.lastIndexOf('$');
        String answer = first == last ? text : text.substring(first + 1, last);
        String right = boxed(QuestionFunctions.text(document, "solution"), false);
        return Map.of("exact_match", same(answer, right) ? 1.0 : 0.0);
    }

    private static boolean same(String a, String b) {
        try {
            return plain(a).equals(plain(b));
        } catch (OddTextException e) {
            return a.equals(b);
        }
    }

    private static String plain(String text) {
        String plain = text.replace("\n", "")
                .replace("\\!", "")
                .replace("\\\\", "\\")
                .replace("tfrac", "frac")
                .replace("dfrac", "frac")
                .replace("\\left", "")
                .replace("\\right", "")
                .replace("^{\\circ}", "")
                .replace("^\\circ", "")
                .replace("\\$", "");
        String[] units = plain.split(Pattern.quote("\\text{ "), -1);
        if (units.length > 2) {
            throw new OddTextException();
        }
        plain = units[0].replace("\\%", "").replace(" .", " 0.").replace("{.", "{0.");
        if (plain.isEmpty()) {
            return plain;
        }
        plain = plain.startsWith(".") ? "0" + plain : plain;
        String[] sides = plain.split("=", -1);
        if (sides.length == 2 && sides[0].codePointCount(0, sides[0].length()) <= 2) {
            plain = sides[1];
        }
        plain = fractions(roots(plain).replace(" ", ""));
        return slash(plain.equals("0.5") ? "\\frac{1}{2}" : plain);
    }

    private static String roots(String text) {
        String[] parts = text.split(Pattern.quote("\\sqrt"), -1);
        StringBuilder made = new StringBuilder(parts[0]);
        for (int i = 1; i < parts.length; i++) {
            String first = character(parts[i], 0);
            made.append("\\sqrt")
                    .append(first.equals("{") ? parts[i] : "{" + first + "}" + parts[i].substring(first.length()));
        }
        return made.toString();
    }

    /** The character at a place, which may take two chars. */
    private static String character(String text, int at) {
        if (at >= text.length()) {
            throw new OddTextException();
        }
        return Character.toString(text.codePointAt(at));
    }

    private static String fractions(String text) {
        String[] parts = text.split(Pattern.quote("\\frac"), -1);
        StringBuilder made = new StringBuilder(parts[0]);
        for (int i = 1; i < parts.length; i++) {
            String part = parts[i];
            made.append("\\frac");
            String above = character(part, 0);
            if (above.equals("{")) {
                made.append(part);
                continue;
            }
            if (part.length() == above.length()) {
                return text;
            }
            String below = character(part, above.length());
            String rest = part.substring(above.length() + below.length());
            made.append('{').append(above).append('}');
            made.append(below.equals("{") ? below : "{" + below + "}").append(rest);
        }
        return made.toString();
    }

    private static String slash(String text) {
        String[] sides = text.split("/", -1);
        if (sides.length != 2) {
            return text;
        }
        if (!WHOLE.matcher(sides[0]).matches() || !WHOLE.matcher(sides[1]).matches()) {
            throw new OddTextException();
        }
        String above = new java.math.BigInteger(sides[0].replace("_", "")).toString();
        String below = new java.math.BigInteger(sides[1].replace("_", "")).toString();
        return text.equals(above + "/" + below) ? "\\frac{" + above + "}{" + below + "}" : text;
    }
}
