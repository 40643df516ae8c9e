package nibble.jinja.python;

import java.util.Locale;

/** Computes upper, lower and title case, and kinds of digits, as Python tells them apart. */
public final class CharacterCases {
    private CharacterCases() {}

    /** One character at the beginning of a word; one that becomes several, as ß, keeps the rest small. */
    private static String titled(int point) {
        int title = Character.toTitleCase(point);
        String upper = Character.toString(point).toUpperCase(Locale.ROOT);
        if (title != point || upper.codePointCount(0, upper.length()) == 1) {
            return Character.toString(title);
        }
        int first = upper.offsetByCodePoints(0, 1);
        return upper.substring(0, first) + upper.substring(first).toLowerCase(Locale.ROOT);
    }

    public static String lower(String text) {
        Budget.characters(text.length());
        return text.toLowerCase(Locale.ROOT);
    }

    public static String upper(String text) {
        Budget.characters(text.length());
        return text.toUpperCase(Locale.ROOT);
    }

    public static String capitalize(String text) {
        if (text.isEmpty()) {
            return text;
        }
        int first = text.codePointAt(0);
        return titled(first) + text.substring(Character.charCount(first)).toLowerCase(Locale.ROOT);
    }

    static String title(String text) {
        String lower = text.toLowerCase(Locale.ROOT);
        boolean sameShape = lower.length() == text.length();
        StringBuilder out = new StringBuilder();
        boolean within = false;
        for (int i = 0; i < text.length(); ) {
            int point = text.codePointAt(i);
            int small = sameShape ? lower.codePointAt(i) : Character.toLowerCase(point);
            out.append(within ? Character.toString(small) : titled(point));
            within = isCased(point);
            i += Character.charCount(point);
        }
        return out.toString();
    }

    static String swap(String text) {
        StringBuilder out = new StringBuilder();
        text.codePoints().forEach(point -> {
            String one = Character.toString(point);
            out.append(Character.isUpperCase(point) ? one.toLowerCase(Locale.ROOT) : one.toUpperCase(Locale.ROOT));
        });
        return out.toString();
    }

    private static boolean isCased(int point) {
        return Character.isUpperCase(point) || Character.isLowerCase(point) || Character.isTitleCase(point);
    }

    public static boolean isLower(String text) {
        Budget.look(text.length());
        return text.codePoints().anyMatch(Character::isLowerCase)
                && text.codePoints().noneMatch(point -> Character.isUpperCase(point) || Character.isTitleCase(point));
    }

    public static boolean isUpper(String text) {
        Budget.look(text.length());
        return text.codePoints().anyMatch(Character::isUpperCase)
                && text.codePoints().noneMatch(point -> Character.isLowerCase(point) || Character.isTitleCase(point));
    }

    static boolean isTitle(String text) {
        boolean found = false;
        boolean within = false;
        for (int point : text.codePoints().toArray()) {
            boolean upper = Character.isUpperCase(point) || Character.isTitleCase(point);
            if (upper && within || Character.isLowerCase(point) && !within) {
                return false;
            }
            within = upper || Character.isLowerCase(point);
            found |= within;
        }
        return found;
    }

    /** Digits that are not decimal ones: raised, lowered and encircled. */
    static boolean isDigitForm(int point) {
        return point == 0xb2
                || point == 0xb3
                || point == 0xb9
                || point == 0x2070
                || point >= 0x2074 && point <= 0x2079
                || point >= 0x2080 && point <= 0x2089
                || point >= 0x2460 && point <= 0x2468
                || point >= 0x2474 && point <= 0x247c
                || point >= 0x2488 && point <= 0x2490
                || point == 0x24ea
                || point >= 0x24f5 && point <= 0x24fd
                || point == 0x24ff
                || point >= 0x2776 && point <= 0x277e
                || point >= 0x2780 && point <= 0x2788
                || point >= 0x278a && point <= 0x2792;
    }

    static boolean isNumeric(int point) {
        int type = Character.getType(point);
        boolean numeral = "〇一二三四五六七八九十百千万億兆零壹貳參肆伍陸柒捌玖拾佰仟萬亿廿卅卌".indexOf(point) >= 0;
        return type == Character.DECIMAL_DIGIT_NUMBER
                || type == Character.LETTER_NUMBER
                || type == Character.OTHER_NUMBER
                || numeral;
    }
}
