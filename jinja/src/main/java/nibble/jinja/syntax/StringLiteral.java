package nibble.jinja.syntax;

/** The escapes in a text's quotes, which are Python's. */
final class StringLiteral {
    private StringLiteral() {}

    /** @throws JinjaException if an escape is cut off or names no character */
    static String meaning(String quoted, int line) {
        if (quoted.indexOf('\\') < 0) {
            return quoted;
        }
        StringBuilder out = new StringBuilder();
        for (int i = 0; i < quoted.length(); i++) {
            char c = quoted.charAt(i);
            if (c != '\\' || i + 1 == quoted.length()) {
                out.append(c);
                continue;
            }
            char escape = quoted.charAt(++i);
            switch (escape) {
                case '\n' -> {}
                case '\\', '\'', '"' -> out.append(escape);
                case 'a' -> out.append('\u0007');
                case 'b' -> out.append('\b');
                case 'f' -> out.append('\f');
                case 'n' -> out.append('\n');
                case 'r' -> out.append('\r');
                case 't' -> out.append('\t');
                case 'v' -> out.append('\u000b');
                case 'x' -> i = hexadecimal(quoted, i, 2, out, line);
                case 'u' -> i = hexadecimal(quoted, i, 4, out, line);
                case 'U' -> i = hexadecimal(quoted, i, 8, out, line);
                case 'N' -> i = named(quoted, i, out, line);
                default -> {
                    if (escape >= '0' && escape <= '7') {
                        int end = i;
                        while (end < Math.min(quoted.length(), i + 3)
                                && quoted.charAt(end) >= '0'
                                && quoted.charAt(end) <= '7') {
                            end++;
                        }
                        out.append((char) Integer.parseInt(quoted, i, end, 8));
                        i = end - 1;
                    } else {
                        out.append('\\').append(escape);
                    }
                }
            }
        }
        return out.toString();
    }

    private static int hexadecimal(String quoted, int at, int digits, StringBuilder out, int line) {
        int end = at + 1 + digits;
        for (int i = at + 1; i < end; i++) {
            if (i >= quoted.length() || quoted.charAt(i) > 'f' || Character.digit(quoted.charAt(i), 16) < 0) {
                throw JinjaException.syntax(line, "a string's escape \\" + quoted.charAt(at) + " lacks digits");
            }
        }
        long point = Long.parseLong(quoted, at + 1, end, 16);
        if (point > Character.MAX_CODE_POINT) {
            throw JinjaException.syntax(line, "illegal Unicode character");
        }
        out.appendCodePoint((int) point);
        return end - 1;
    }

    private static int named(String quoted, int at, StringBuilder out, int line) {
        int end = quoted.indexOf('}', at);
        if (end < 0 || !quoted.startsWith("{", at + 1)) {
            throw JinjaException.syntax(line, "malformed \\N character escape");
        }
        try {
            out.appendCodePoint(Character.codePointOf(quoted.substring(at + 2, end)));
        } catch (IllegalArgumentException e) {
            throw JinjaException.syntax(line, "unknown Unicode character name");
        }
        return end;
    }
}
