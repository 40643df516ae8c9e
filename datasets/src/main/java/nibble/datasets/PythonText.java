package nibble.datasets;

import java.util.Locale;

/** Does what Python's string methods do, where Java's nearest ones differ. */
public final class PythonText {
    private PythonText() {}

    /** Computes {@code text.strip()}. */
    public static String strip(String text) {
        String right = stripRight(text);
        int begin = 0;
        while (begin < right.length() && isSpace(right.charAt(begin))) {
            begin++;
        }
        return right.substring(begin);
    }

    /** Computes {@code text.rstrip()}. */
    public static String stripRight(String text) {
        int end = text.length();
        while (end > 0 && isSpace(text.charAt(end - 1))) {
            end--;
        }
        return text.substring(0, end);
    }

    /** Computes {@code text.capitalize()}: the first letter in title case, all others in lower case. */
    public static String capitalize(String text) {
        if (text.isEmpty()) {
            return text;
        }
        int first = text.codePointAt(0);
        int length = Character.charCount(first);
        // Lowered as a whole: a sigma's form depends on what stands before it.
        String lower = text.toLowerCase(Locale.ROOT);
        String lowerFirst = text.substring(0, length).toLowerCase(Locale.ROOT);
        return Character.toString(Character.toTitleCase(first)) + lower.substring(lowerFirst.length());
    }

    /** Returns {@code len(text)}: code points. */
    public static int length(String text) {
        return text.codePointCount(0, text.length());
    }

    /**
     * Returns whether {@code strip} and the {@code \s} of {@code re} take it for white space; none lies beyond 16
     * bits.
     */
    public static boolean isSpace(char c) {
        return Character.isSpaceChar(c) || c >= 0x09 && c <= 0x0d || c >= 0x1c && c <= 0x1f || c == 0x85;
    }
}
