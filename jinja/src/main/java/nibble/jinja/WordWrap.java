package nibble.jinja;

import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Collections;
import java.util.Deque;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import nibble.jinja.python.Budget;
import nibble.jinja.python.Text;

/**
 * Breaks one line into several, as Python's textwrap does without expanding tabs or replacing spaces.
 *
 * @param width longest line, in characters
 * @param breakLong whether words longer than a line are broken
 * @param breakOnHyphens whether a line may end with a word's hyphen
 */
record WordWrap(int width, boolean breakLong, boolean breakOnHyphens) {
    private static final Pattern SPACES = Pattern.compile("[\\t\\n\\x0b\\f\\r ]+|[^\\t\\n\\x0b\\f\\r ]+");

    /** Where a word with hyphens may be broken: between letters, or at a dash of two hyphens or more. */
    private static final Pattern HYPHENS = Pattern.compile(
            "(?<=[\\w!\"'&.,?])-{2,}(?=\\w)|.+?(?:(?<=[^\\d\\W]{2}-)(?=[^\\d\\W]-?[^\\d\\W])"
                    + "|(?<=[^\\d\\W]-[^\\d\\W]-)(?=[^\\d\\W]-?[^\\d\\W])|(?=(?<=[\\w!\"'&.,?])-{2,}\\w)|$)",
            Pattern.UNICODE_CHARACTER_CLASS);

    List<String> lines(String line) {
        Budget.characters(line.length());
        List<String> chunks = chunks(line);
        Collections.reverse(chunks);
        Deque<String> left = new ArrayDeque<>();
        chunks.forEach(left::push);
        List<String> lines = new ArrayList<>();
        while (!left.isEmpty()) {
            if (!lines.isEmpty() && Text.strip(left.getFirst()).isEmpty()) {
                left.pop();
            }
            List<String> taken = new ArrayList<>();
            int length = 0;
            while (!left.isEmpty() && length + length(left.getFirst()) <= width) {
                length += length(left.getFirst());
                taken.add(left.pop());
            }
            if (!left.isEmpty() && length(left.getFirst()) > width) {
                tooLong(left, taken, width - length);
            }
            if (!taken.isEmpty() && Text.strip(taken.getLast()).isEmpty()) {
                taken.removeLast();
            }
            if (!taken.isEmpty()) {
                lines.add(String.join("", taken));
            }
            Budget.step();
        }
        return lines;
    }

    private static int length(String text) {
        return text.codePointCount(0, text.length());
    }

    private void tooLong(Deque<String> left, List<String> taken, int room) {
        String chunk = left.pop();
        if (!breakLong) {
            if (taken.isEmpty()) {
                taken.add(chunk);
            } else {
                left.push(chunk);
            }
            return;
        }
        int space = Math.max(1, room);
        int end = space;
        if (breakOnHyphens && length(chunk) > space) {
            int hyphen = chunk.lastIndexOf('-', chunk.offsetByCodePoints(0, space) - 1);
            if (hyphen > 0 && chunk.substring(0, hyphen).chars().anyMatch(c -> c != '-')) {
                end = length(chunk.substring(0, hyphen)) + 1;
            }
        }
        int at = chunk.offsetByCodePoints(0, end);
        taken.add(chunk.substring(0, at));
        left.push(chunk.substring(at));
        Budget.characters(chunk.length());
    }

    private List<String> chunks(String line) {
        List<String> chunks = new ArrayList<>();
        Matcher parts = SPACES.matcher(line);
        while (parts.find()) {
            if (breakOnHyphens && parts.group().indexOf('-') >= 0) {
                Matcher pieces = HYPHENS.matcher(parts.group());
                while (pieces.find()) {
                    if (!pieces.group().isEmpty()) {
                        chunks.add(pieces.group());
                    }
                }
            } else {
                chunks.add(parts.group());
            }
        }
        return chunks;
    }
}
