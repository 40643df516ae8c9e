package nibble.jinja.syntax;

import java.math.BigInteger;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import nibble.jinja.python.Text;

/**
 * Takes a template apart. With trimming, {@code trim_blocks} and {@code lstrip_blocks} are set and
 * {@code keep_trailing_newline} is not: the newline after a block tag, the spaces before one that begins its line, and
 * one newline at the end are no text. Without it, all of that is text.
 */
public final class Lexer {
    private static final Pattern FLOAT = Pattern.compile(
            "(?:\\d++_)*+\\d++(?:(?:\\.(?:\\d++_)*\\d++)?[eE][+\\-]?(?:\\d++_)*\\d++|\\.(?:\\d++_)*\\d++)");
    private static final Pattern INTEGER = Pattern.compile(
            "0[bB](?:_?[01])++|0[oO](?:_?[0-7])++|0[xX](?:_?[0-9a-fA-F])++|[1-9](?:_?\\d)*+|0(?:_?0)*+");
    private static final List<String> OPERATORS = List.of(
            "//", "**", "==", "!=", ">=", "<=", "+", "-", "/", "*", "%", "~", "[", "]", "(", ")", "{", "}", ">", "<",
            "=", ".", ":", "|", ",", ";");

    /** Longest number in a template, in characters. */
    private static final int MAX_NUMBER = 4300;

    private final String source;
    private final boolean trims;
    private final List<Token> tokens = new ArrayList<>();
    private int at;
    private int line = 1;

    /** Whether what came last ended with a newline, or nothing came. */
    private boolean lineStarting = true;

    private Lexer(String source, boolean trims) {
        this.source = source;
        this.trims = trims;
    }

    /**
     * Reads the tokens.
     *
     * @throws JinjaException if the text is no template
     */
    public static List<Token> tokens(String template, boolean trims) {
        String text = template.replace("\r\n", "\n").replace('\r', '\n');
        boolean cut = trims && text.endsWith("\n");
        return new Lexer(cut ? text.substring(0, text.length() - 1) : text, trims).run();
    }

    private List<Token> run() {
        while (at < source.length()) {
            int tag = nextTag();
            if (tag < 0) {
                data(source.substring(at));
                at = source.length();
                break;
            }
            char type = source.charAt(tag + 1);
            int after = tag + 2;
            char sign = after < source.length() && (source.charAt(after) == '-' || source.charAt(after) == '+')
                    ? source.charAt(after)
                    : ' ';
            after += sign == ' ' ? 0 : 1;
            dataBefore(tag, sign, type != '{');
            switch (type) {
                case '#' -> comment(after);
                case '{' -> {
                    advance(after);
                    add(Token.Kind.VARIABLE_BEGIN, "{{");
                    tag("}}");
                }
                default -> {
                    int raw = rawBegin(after);
                    if (raw >= 0) {
                        raw(raw);
                    } else {
                        advance(after);
                        add(Token.Kind.BLOCK_BEGIN, "{%");
                        tag("%}");
                    }
                }
            }
        }
        add(Token.Kind.END, "");
        return tokens;
    }

    private int nextTag() {
        for (int i = source.indexOf('{', at); i >= 0 && i + 1 < source.length(); i = source.indexOf('{', i + 1)) {
            if ("{%#".indexOf(source.charAt(i + 1)) >= 0) {
                return i;
            }
        }
        return -1;
    }

    private void add(Token.Kind kind, String text) {
        tokens.add(new Token(kind, text, text, line));
    }

    private void data(String text) {
        if (!text.isEmpty()) {
            add(Token.Kind.DATA, text);
        }
    }

    /** Goes on to a place, counting lines. */
    private void advance(int to) {
        for (int i = at; i < to; i++) {
            line += source.charAt(i) == '\n' ? 1 : 0;
        }
        lineStarting = to > at ? source.charAt(to - 1) == '\n' : lineStarting;
        at = to;
    }

    private void dataBefore(int tag, char sign, boolean isBlock) {
        String text = source.substring(at, tag);
        if (sign == '-') {
            text = Text.stripRight(text);
        } else if (trims && sign != '+' && isBlock) {
            int begin = text.lastIndexOf('\n') + 1;
            if ((begin > 0 || lineStarting) && Text.strip(text.substring(begin)).isEmpty()) {
                text = text.substring(0, begin);
            }
        }
        data(text);
        advance(tag);
    }

    private int skipSpaces(int from) {
        int i = from;
        while (i < source.length() && Text.isSpace(source.charAt(i))) {
            i++;
        }
        return i;
    }

    /** The place after the end of a block tag or comment with its trimming, if one is there; else -1. */
    private int blockEnd(int from, String end) {
        if (source.startsWith("+" + end, from)) {
            return from + 3;
        }
        if (source.startsWith("-" + end, from)) {
            return skipSpaces(from + 3);
        }
        return source.startsWith(end, from) ? from + (trims && source.startsWith("\n", from + 2) ? 3 : 2) : -1;
    }

    private void comment(int from) {
        for (int i = from; i < source.length(); i++) {
            int end = blockEnd(i, "#}");
            if (end >= 0) {
                advance(end);
                return;
            }
        }
        throw JinjaException.syntax(line, "Missing end of comment tag");
    }

    /** The place after a raw tag whose sign ends here; -1 if this is no raw tag. */
    private int rawBegin(int from) {
        int i = skipSpaces(from);
        if (!source.startsWith("raw", i)) {
            return -1;
        }
        i = skipSpaces(i + 3);
        if (source.startsWith("-%}", i)) {
            return skipSpaces(i + 3);
        }
        return source.startsWith("%}", i) ? i + 2 : -1;
    }

    private void raw(int from) {
        int began = line;
        advance(from);
        for (int tag = source.indexOf("{%", from); tag >= 0; tag = source.indexOf("{%", tag + 1)) {
            int i = tag + 2;
            char sign = i < source.length() && (source.charAt(i) == '-' || source.charAt(i) == '+')
                    ? source.charAt(i)
                    : ' ';
            i = skipSpaces(sign == ' ' ? i : i + 1);
            if (source.startsWith("endraw", i)) {
                int end = blockEnd(skipSpaces(i + 6), "%}");
                if (end >= 0) {
                    dataBefore(tag, sign, true);
                    advance(end);
                    return;
                }
            }
        }
        throw JinjaException.syntax(began, "Missing end of raw directive");
    }

    /** The tokens of a tag up to its end. */
    private void tag(String end) {
        Deque<Character> open = new ArrayDeque<>();
        boolean isBlock = end.equals("%}");
        while (at < source.length()) {
            if (open.isEmpty()) {
                int after = isBlock
                        ? blockEnd(at, end)
                        : source.startsWith("-}}", at) ? skipSpaces(at + 3) : source.startsWith("}}", at) ? at + 2 : -1;
                if (after >= 0) {
                    add(isBlock ? Token.Kind.BLOCK_END : Token.Kind.VARIABLE_END, end);
                    advance(after);
                    return;
                }
            }
            int spaces = skipSpaces(at);
            if (spaces > at) {
                advance(spaces);
            } else if (!number() && !name() && !string()) {
                operator(open);
            }
        }
    }

    private boolean number() {
        char c = source.charAt(at);
        if (c < '0' || c > '9') {
            return false;
        }
        Matcher real = FLOAT.matcher(source).region(at, source.length());
        if ((at == 0 || source.charAt(at - 1) != '.') && real.lookingAt()) {
            String text = real.group();
            tokens.add(new Token(Token.Kind.NUMBER_FLOAT, text, Double.parseDouble(text.replace("_", "")), line));
            advance(real.end());
            return true;
        }
        Matcher whole = INTEGER.matcher(source).region(at, source.length());
        if (!whole.lookingAt()) {
            return false;
        }
        String digits = whole.group().replace("_", "");
        if (digits.length() > MAX_NUMBER) {
            throw JinjaException.syntax(line, "a number of " + digits.length() + " digits");
        }
        char base = digits.length() > 1 ? Character.toLowerCase(digits.charAt(1)) : ' ';
        BigInteger value = switch (base) {
            case 'x' -> new BigInteger(digits.substring(2), 16);
            case 'o' -> new BigInteger(digits.substring(2), 8);
            case 'b' -> new BigInteger(digits.substring(2), 2);
            default -> new BigInteger(digits);
        };
        tokens.add(new Token(Token.Kind.NUMBER_INT, whole.group(), value, line));
        advance(whole.end());
        return true;
    }

    private boolean name() {
        int end = at;
        while (end < source.length()) {
            int point = source.codePointAt(end);
            if (point != '_' && !Character.isUnicodeIdentifierPart(point) || Character.isIdentifierIgnorable(point)) {
                break;
            }
            end += Character.charCount(point);
        }
        if (end == at) {
            return false;
        }
        if (source.charAt(at) != '_' && !Character.isUnicodeIdentifierStart(source.codePointAt(at))) {
            throw JinjaException.syntax(line, "Invalid character in identifier");
        }
        add(Token.Kind.NAME, source.substring(at, end));
        advance(end);
        return true;
    }

    private boolean string() {
        char quote = source.charAt(at);
        if (quote != '\'' && quote != '"') {
            return false;
        }
        int end = at + 1;
        while (end < source.length() && source.charAt(end) != quote) {
            end += source.charAt(end) == '\\' ? 2 : 1;
        }
        if (end >= source.length()) {
            return false;
        }
        add(Token.Kind.STRING, StringLiteral.meaning(source.substring(at + 1, end), line));
        advance(end + 1);
        return true;
    }

    private void operator(Deque<Character> open) {
        for (String operator : OPERATORS) {
            if (source.startsWith(operator, at)) {
                char c = operator.charAt(0);
                switch (c) {
                    case '(' -> open.push(')');
                    case '[' -> open.push(']');
                    case '{' -> open.push('}');
                    case ')', ']', '}' -> {
                        if (open.isEmpty() || open.pop() != c) {
                            throw JinjaException.syntax(line, "unexpected '" + c + "'");
                        }
                    }
                    default -> {}
                }
                add(Token.Kind.OPERATOR, operator);
                advance(at + operator.length());
                return;
            }
        }
        throw JinjaException.syntax(line, "unexpected char " + Character.toString(source.codePointAt(at)));
    }
}
