package nibble.jinja;

import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** Character references of HTML: numbers and the common names. */
final class Entities {
    private static final Pattern REFERENCE = Pattern.compile("&(#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[a-zA-Z]{2,8});?");

    private static final Map<String, String> NAMED = Map.ofEntries(
            Map.entry("amp", "&"),
            Map.entry("lt", "<"),
            Map.entry("gt", ">"),
            Map.entry("quot", "\""),
            Map.entry("apos", "'"),
            Map.entry("nbsp", "\u00a0"),
            Map.entry("copy", "\u00a9"),
            Map.entry("reg", "\u00ae"),
            Map.entry("raquo", "\u00bb"),
            Map.entry("laquo", "\u00ab"),
            Map.entry("hellip", "\u2026"),
            Map.entry("ndash", "\u2013"),
            Map.entry("mdash", "\u2014"),
            Map.entry("euro", "\u20ac"));

    private Entities() {}

    static String replaced(String text) {
        return REFERENCE
                .matcher(text)
                .replaceAll(match -> Matcher.quoteReplacement(meaning(match.group(1), match.group())));
    }

    private static String meaning(String name, String whole) {
        if (!name.startsWith("#")) {
            return NAMED.getOrDefault(name, whole);
        }
        boolean hexadecimal = name.charAt(1) == 'x' || name.charAt(1) == 'X';
        int point = Integer.parseInt(name.substring(hexadecimal ? 2 : 1), hexadecimal ? 16 : 10);
        return point == 0 || !Character.isValidCodePoint(point) || point >= 0xd800 && point < 0xe000
                ? "\ufffd"
                : Character.toString(point);
    }
}
