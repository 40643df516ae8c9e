package nibble.eval.harness.functions;

import java.util.Map;
import java.util.Objects;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import nibble.datasets.BadDatasetException;
import org.jspecify.annotations.Nullable;

/** Finds the answers of MATH's problems in texts, and compares them after their LaTeX is written alike. */
public final class MathAnswers {
    /** What the harness takes for an answer where there is none. */
    static final String NONE = "[invalidanswer]";

    private static final Pattern WHOLE = Pattern.compile("[+-]?\\d+(_\\d+)*");

    private static final Pattern BETWEEN_DOLLARS = Pattern.compile("\\$(.*)\\$", Pattern.UNIX_LINES);
    private static final Pattern LAST_NUMBER =
            Pattern.compile("(?:\\$)?\\d+(?:\\.\\d+)?(?![\\w\\d])", Pattern.UNICODE_CHARACTER_CLASS);

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
        return spaced < 0
                ? lastPlainBox(text)
                : "\\boxed " + text.substring(spaced + 7).split("\\$", 2)[0];
    }

    private static @Nullable String lastPlainBox(String text) {
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

    /** Judges an answer of AGIEval's problems. */
    public static Map<String, Object> scoresOfExams(Map<String, @Nullable Object> document, @Nullable Object response) {
        String written = result(String.valueOf(response));
        String right = result(QuestionFunctions.text(document, "answer"));
        boolean same = Objects.equals(written, right);
        if (!same && written != null && right != null) {
            try {
                same = plain(written, true).equals(plain(right, true));
            } catch (OddTextException e) {
                // Then the texts themselves decide.
            }
        }
        return Map.of("acc", same ? 1.0 : 0.0);
    }

    /** What stands in the last box, else between dollars, else behind the last equals sign, else the last number. */
    private static @Nullable String result(String text) {
        if (text.contains("\\boxed")) {
            String box = lastPlainBox(text);
            return box != null && box.startsWith("\\boxed{") && box.endsWith("}")
                    ? lastSide(box.substring(7, box.length() - 1))
                    : null;
        }
        String found = last(BETWEEN_DOLLARS, text, 1);
        found = found == null ? null : lastSide(found);
        if (found != null && !found.isEmpty()) {
            return found;
        }
        if (text.contains("=")) {
            return lastSide(text).replaceAll("\\.+$", "").split("\\\\n", 2)[0];
        }
        return last(LAST_NUMBER, text, 0);
    }

    private static String lastSide(String text) {
        int equals = text.lastIndexOf('=');
        return equals < 0 ? text : text.substring(equals + 1).replaceAll("^ +", "");
    }

    private static @Nullable String last(Pattern pattern, String text, int group) {
        String found = null;
        for (Matcher matcher = pattern.matcher(text); matcher.find(); ) {
            found = matcher.group(group);
        }
        return found;
    }

    private static String plain(String text) {
        return plain(text, false);
    }

    /** @param lenient whether a slash between what is no number stays */
    private static String plain(String text, boolean lenient) {
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
        return slash(plain.equals("0.5") ? "\\frac{1}{2}" : plain, lenient);
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

    private static String slash(String text, boolean lenient) {
        String[] sides = text.split("/", -1);
        if (sides.length != 2) {
            return text;
        }
        if (!WHOLE.matcher(sides[0]).matches() || !WHOLE.matcher(sides[1]).matches()) {
            if (lenient) {
                return text;
            }
            throw new OddTextException();
        }
        String above = new java.math.BigInteger(sides[0].replace("_", "")).toString();
        String below = new java.math.BigInteger(sides[1].replace("_", "")).toString();
        return text.equals(above + "/" + below) ? "\\frac{" + above + "}{" + below + "}" : text;
    }
}
