package nibble.jinja.syntax;

import java.util.List;

/** Goes through tokens, and bounds how deep what they say is nested. */
public final class Cursor {
    /** Deepest nesting of expressions and blocks; Jinja2 itself ends at about 70. */
    private static final int MAX_DEPTH = 150;

    private final List<Token> tokens;
    private int at;
    private int depth;

    public Cursor(List<Token> tokens) {
        this.tokens = tokens;
    }

    Token current() {
        return tokens.get(at);
    }

    Token look() {
        return tokens.get(Math.min(at + 1, tokens.size() - 1));
    }

    /** Returns the present token; goes on to the next. */
    public Token next() {
        Token token = tokens.get(at);
        at = Math.min(at + 1, tokens.size() - 1);
        return token;
    }

    public boolean isOperator(String operator) {
        return current().isOperator(operator);
    }

    public boolean isName(String name) {
        return current().isName(name);
    }

    public boolean is(Token.Kind kind) {
        return current().kind() == kind;
    }

    public boolean skipOperator(String operator) {
        boolean found = isOperator(operator);
        at += found ? 1 : 0;
        return found;
    }

    public boolean skipName(String name) {
        boolean found = isName(name);
        at += found ? 1 : 0;
        return found;
    }

    public void expectOperator(String operator) {
        if (!skipOperator(operator)) {
            throw unexpected("'" + operator + "'");
        }
    }

    public Token expect(Token.Kind kind, String what) {
        if (!is(kind)) {
            throw unexpected(what);
        }
        return next();
    }

    public JinjaException unexpected(String expected) {
        return fail("expected " + expected + ", found " + current().shown());
    }

    public JinjaException fail(String message) {
        return JinjaException.syntax(current().line(), message);
    }

    /** Goes one level deeper. */
    public void enter() {
        if (++depth > MAX_DEPTH) {
            throw new JinjaException(
                    JinjaException.Reason.LIMIT,
                    "line " + current().line() + ": nested more than " + MAX_DEPTH + " deep");
        }
    }

    public void leave() {
        depth--;
    }

    /** Reads a name, or several joined by dots. */
    String dottedName() {
        StringBuilder name = new StringBuilder(expect(Token.Kind.NAME, "a name").text());
        while (skipOperator(".")) {
            name.append('.').append(expect(Token.Kind.NAME, "a name").text());
        }
        return name.toString();
    }
}
