package nibble.jinja.python;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** Computes the methods of {@code str} that take a text apart. */
public final class Splitting {
    private Splitting() {}

    static List<Object> split(String text, Arguments arguments, boolean fromRight) {
        Arguments.Bound bound = arguments.bind("split", "sep?", "maxsplit?");
        return split(text, bound.textOrNone("sep"), bound.integer("maxsplit", -1), fromRight);
    }

    /**
     * The parts of a text.
     *
     * @param separator what stands between parts; null for any number of spaces
     * @param most how often to split; negative for as often as possible
     */
    static List<Object> split(String text, @Nullable String separator, int most, boolean fromRight) {
        Budget.look(text.length());
        if (separator == null) {
            return fromRight ? wordsFromRight(text, most) : words(text, most);
        }
        if (separator.isEmpty()) {
            throw PythonException.value("empty separator");
        }
        List<Object> parts = new ArrayList<>();
        if (!fromRight) {
            int at = 0;
            int next = text.indexOf(separator);
            for (; next >= 0 && (most < 0 || parts.size() < most); next = text.indexOf(separator, at)) {
                parts.add(text.substring(at, next));
                at = next + separator.length();
            }
            parts.add(text.substring(at));
            Budget.characters(text.length());
            return parts;
        }
        int end = text.length();
        while (most < 0 || parts.size() < most) {
            int next = end < separator.length() ? -1 : text.lastIndexOf(separator, end - separator.length());
            if (next < 0) {
                break;
            }
            parts.add(text.substring(next + separator.length(), end));
            end = next;
        }
        parts.add(text.substring(0, end));
        Budget.characters(text.length());
        Collections.reverse(parts);
        return parts;
    }

    private static List<Object> words(String text, int most) {
        List<Object> parts = new ArrayList<>();
        int at = 0;
        while (true) {
            while (at < text.length() && Text.isSpace(text.charAt(at))) {
                at++;
            }
            if (at == text.length()) {
                return parts;
            }
            if (most >= 0 && parts.size() == most) {
                parts.add(Text.stripRight(text.substring(at)));
                return parts;
            }
            int end = at;
            while (end < text.length() && !Text.isSpace(text.charAt(end))) {
                end++;
            }
            Budget.characters(end - at);
            parts.add(text.substring(at, end));
            at = end;
        }
    }

    private static List<Object> wordsFromRight(String text, int most) {
        List<Object> parts = new ArrayList<>();
        int end = text.length();
        while (true) {
            while (end > 0 && Text.isSpace(text.charAt(end - 1))) {
                end--;
            }
            if (end == 0) {
                break;
            }
            if (most >= 0 && parts.size() == most) {
                parts.add(Text.stripLeft(text.substring(0, end)));
                break;
            }
            int at = end;
            while (at > 0 && !Text.isSpace(text.charAt(at - 1))) {
                at--;
            }
            Budget.characters(end - at);
            parts.add(text.substring(at, end));
            end = at;
        }
        Collections.reverse(parts);
        return parts;
    }

    /** Returns Python's {@code str.splitlines}. */
    public static List<Object> lines(String text, boolean keepEnds) {
        Budget.characters(text.length());
        List<Object> lines = new ArrayList<>();
        int at = 0;
        while (at < text.length()) {
            int end = at;
            while (end < text.length() && !Text.isLineEnd(text.charAt(end))) {
                end++;
            }
            int next = end;
            if (end < text.length()) {
                next += text.startsWith("\r\n", end) ? 2 : 1;
            }
            lines.add(text.substring(at, keepEnds ? next : end));
            at = next;
        }
        return lines;
    }

    static PyTuple partition(String text, Arguments arguments, boolean last) {
        String separator = arguments.bind("partition", "/sep").text("sep");
        if (separator.isEmpty()) {
            throw PythonException.value("empty separator");
        }
        Budget.characters(text.length());
        int at = last ? text.lastIndexOf(separator) : text.indexOf(separator);
        if (at < 0) {
            return last ? PyTuple.of("", "", text) : PyTuple.of(text, "", "");
        }
        return PyTuple.of(text.substring(0, at), separator, text.substring(at + separator.length()));
    }
}
