package nibble.checkpoint.source;

import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.regex.PatternSyntaxException;

/**
 * Holds a regular expression that a file gives, which may be made to take time without end. Java matches by trying, so
 * two things bound its time: how often letters of the text are looked at, and repeats of what looks at none, as {@code
 * (?:^){1000}}.
 */
public final class ForeignPattern {
    /** No published expression has a fifth of it. */
    private static final int MAX_LETTERS = 10_000;

    /** Repeats of all parts together, those of nested ones multiplied; published expressions have a fifth. */
    private static final int MAX_REPEATS = 5_000;

    private final Pattern pattern;

    private ForeignPattern(Pattern pattern) {
        this.pattern = pattern;
    }

    /**
     * Compiles an expression.
     *
     * @return nothing if Java does not know it, or if it is longer or repeats more than any of honest use
     */
    public static Optional<ForeignPattern> compile(String expression, int flags) {
        // A quotation and a comment may hide brackets, and no published expression has one.
        if (expression.length() > MAX_LETTERS || expression.contains("\\Q")) {
            return Optional.empty();
        }
        try {
            return new Repeats(expression).all() > MAX_REPEATS
                    ? Optional.empty()
                    : Optional.of(new ForeignPattern(Pattern.compile(expression, flags)));
        } catch (PatternSyntaxException | StackOverflowError e) {
            return Optional.empty();
        }
    }

    /** Returns a matcher, which throws {@link EndlessException} where the text is looked at too often. */
    public Matcher matcher(String text, Looks looks) {
        return pattern.matcher(new Watched(text, looks));
    }

    /** Says that an expression looks at the letters of a text again and again. */
    public static final class EndlessException extends RuntimeException {
        private static final long serialVersionUID = 1L;
    }

    /** Counts how often letters may still be looked at; one thread uses it. */
    public static final class Looks {
        private long left;

        public Looks(long most) {
            left = most;
        }
    }

    private record Watched(String text, Looks looks) implements CharSequence {
        @Override
        public int length() {
            return text.length();
        }

        @Override
        public char charAt(int at) {
            if (--looks.left < 0) {
                throw new EndlessException();
            }
            return text.charAt(at);
        }

        @Override
        public CharSequence subSequence(int begin, int end) {
            return text.subSequence(begin, end);
        }

        @Override
        public String toString() {
            return text;
        }
    }

    /** Counts the parts of an expression, each as often as it is repeated. */
    private static final class Repeats {
        private static final long MANY = Integer.MAX_VALUE;

        private final String text;
        private int at;

        Repeats(String text) {
            this.text = text;
        }

        long all() {
            long sum = 0;
            while (at < text.length()) {
                sum = Math.min(MANY, sum + group());
                at++;
            }
            return sum;
        }

        /** Up to a closing parenthesis or the end. */
        private long group() {
            long sum = 0;
            while (at < text.length() && text.charAt(at) != ')') {
                sum = Math.min(MANY, sum + repeated(part()));
            }
            return sum;
        }

        private long part() {
            switch (text.charAt(at++)) {
                case '\\' -> {
                    boolean named = at < text.length() && "pPxNk".indexOf(text.charAt(at)) >= 0;
                    at++;
                    if (named && at < text.length() && text.charAt(at) == '{') {
                        at = Math.max(at, text.indexOf('}', at)) + 1;
                    }
                    return 1;
                }
                case '[' -> {
                    return letters();
                }
                case '(' -> {
                    int flags = at + 1;
                    boolean asks = at < text.length() && text.charAt(at) == '?';
                    while (asks
                            && flags < text.length()
                            && (Character.isLetter(text.charAt(flags)) || text.charAt(flags) == '-')) {
                        if (text.charAt(flags++) == 'x') {
                            return MANY;
                        }
                    }
                    long inner = group();
                    at++;
                    return inner + 1;
                }
                default -> {
                    return 1;
                }
            }
        }

        /** A class of letters, behind its bracket. */
        private long letters() {
            int open = 1;
            while (open > 0 && at < text.length()) {
                switch (text.charAt(at++)) {
                    case '\\' -> at++;
                    case '[' -> open++;
                    case ']' -> open--;
                    default -> {}
                }
            }
            return open > 0 ? MANY : 1;
        }

        private long repeated(long part) {
            long times = part;
            while (at < text.length() && "?+*{".indexOf(text.charAt(at)) >= 0) {
                if (text.charAt(at++) == '{') {
                    times = Math.min(MANY, times * Math.max(1, most()));
                }
            }
            return times;
        }

        /** The larger number of {@code n}, {@code n,} or {@code n,m}, behind its brace. */
        private long most() {
            long most = 0;
            long number = 0;
            while (at < text.length() && text.charAt(at) != '}') {
                char digit = text.charAt(at++);
                number = digit >= '0' && digit <= '9' ? Math.min(MANY, 10 * number + digit - '0') : 0;
                most = Math.max(most, number);
            }
            at++;
            return most;
        }
    }
}
