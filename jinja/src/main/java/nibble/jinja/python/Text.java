package nibble.jinja.python;

import java.util.List;

/** Handles texts as Python sees them: rows of code points. */
public final class Text {
    private Text() {}

    static int length(String text) {
        return text.codePointCount(0, text.length());
    }

    /** Whether each character is one code point, as almost always. */
    private static boolean isPlain(String text) {
        return length(text) == text.length();
    }

    /** One character by its position, which must be there. */
    static String at(String text, int index) {
        return isPlain(text)
                ? String.valueOf(text.charAt(index))
                : Character.toString(text.codePointAt(text.offsetByCodePoints(0, index)));
    }

    /** The part between two positions that must be there. */
    static String part(String text, int from, int to) {
        if (from >= to) {
            return "";
        }
        Budget.characters(to - from);
        if (isPlain(text)) {
            return text.substring(from, to);
        }
        int begin = text.offsetByCodePoints(0, from);
        return text.substring(begin, text.offsetByCodePoints(begin, to - from));
    }

    /** A position of Java's as a position in code points. */
    static int position(String text, int offset) {
        return text.codePointCount(0, offset);
    }

    /** Compares by code points, as Python does; Java compares by halves of surrogate pairs. */
    static int compare(String left, String right) {
        int same = left.length() > right.length() ? right.length() : left.length();
        Budget.look(same);
        for (int i = 0; i < same; i++) {
            char a = left.charAt(i);
            char b = right.charAt(i);
            if (a != b) {
                boolean surrogates = Character.isSurrogate(a) != Character.isSurrogate(b);
                return surrogates ? (Character.isSurrogate(a) ? 1 : -1) : Character.compare(a, b);
            }
        }
        return Integer.compare(left.length(), right.length());
    }

    static String join(String left, String right) {
        Budget.characters((long) left.length() + right.length());
        return left + right;
    }

    static String repeat(String text, int times) {
        Budget.characters((long) text.length() * times);
        return text.repeat(times);
    }

    /** Joins texts with another between them. */
    public static String join(String between, List<String> texts) {
        long length = 0;
        for (String text : texts) {
            length += text.length() + between.length();
        }
        Budget.characters(length);
        return String.join(between, texts);
    }

    /** Returns whether {@code str.isspace} and {@code str.strip} call it a space. */
    public static boolean isSpace(int point) {
        return point >= 0x09 && point <= 0x0d
                || point >= 0x1c && point <= 0x20
                || point == 0x85
                || point == 0xa0
                || point == 0x1680
                || point >= 0x2000 && point <= 0x200a
                || point == 0x2028
                || point == 0x2029
                || point == 0x202f
                || point == 0x205f
                || point == 0x3000;
    }

    /** What ends a line for {@code str.splitlines}. */
    static boolean isLineEnd(int point) {
        return point >= 0x0a && point <= 0x0d
                || point >= 0x1c && point <= 0x1e
                || point == 0x85
                || point == 0x2028
                || point == 0x2029;
    }

    public static String strip(String text) {
        return stripRight(stripLeft(text));
    }

    // All spaces are single characters.
    public static String stripLeft(String text) {
        int from = 0;
        while (from < text.length() && isSpace(text.charAt(from))) {
            from++;
        }
        Budget.look(text.length());
        return text.substring(from);
    }

    public static String stripRight(String text) {
        int to = text.length();
        while (to > 0 && isSpace(text.charAt(to - 1))) {
            to--;
        }
        Budget.look(text.length());
        return text.substring(0, to);
    }
}
