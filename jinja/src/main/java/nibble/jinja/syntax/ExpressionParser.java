package nibble.jinja.syntax;

import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import nibble.jinja.python.None;
import org.jspecify.annotations.Nullable;

/**
 * Reads expressions, by Jinja2's precedence: {@code if}, or, and, not, comparisons, + -, ~, * / // %, **, sign, filters
 * and tests.
 */
public final class ExpressionParser {
    private static final Set<String> COMPARISONS = Set.of("==", "!=", "<", "<=", ">", ">=");
    private static final Expression NOTHING = new Expression.Literal(None.NONE);

    /** Longest chain of operators, or of dots, calls and filters, that is read as one expression. */
    private static final int MAX_CHAIN = 300;

    private final Cursor cursor;

    public ExpressionParser(Cursor cursor) {
        this.cursor = cursor;
    }

    /** Returns an expression, or several with commas between them as a tuple. */
    public Expression tuple(boolean withCondition, @Nullable String endName) {
        return tuple(withCondition, endName, false);
    }

    private Expression tuple(boolean withCondition, @Nullable String endName, boolean inParentheses) {
        List<Expression> items = new ArrayList<>();
        boolean several = false;
        while (true) {
            if (!items.isEmpty()) {
                cursor.expectOperator(",");
            }
            boolean end = cursor.is(Token.Kind.VARIABLE_END)
                    || cursor.is(Token.Kind.BLOCK_END)
                    || cursor.isOperator(")")
                    || endName != null && cursor.isName(endName);
            if (end) {
                break;
            }
            items.add(withCondition ? expression() : or());
            if (!cursor.isOperator(",")) {
                break;
            }
            several = true;
        }
        if (several || items.isEmpty() && inParentheses) {
            return new Expression.TupleOf(items);
        }
        if (items.isEmpty()) {
            throw cursor.unexpected("an expression");
        }
        return items.getFirst();
    }

    public Expression expression() {
        cursor.enter();
        Expression value = or();
        for (int i = 0; cursor.skipName("if"); i++) {
            requireShort(i);
            Expression test = or();
            value = new Expression.Condition(test, value, cursor.skipName("else") ? expression() : null);
        }
        cursor.leave();
        return value;
    }

    private void requireShort(int length) {
        if (length > MAX_CHAIN) {
            throw new JinjaException(
                    JinjaException.Reason.LIMIT,
                    "line " + cursor.current().line() + ": an expression of more than " + MAX_CHAIN
                            + " parts in a row");
        }
    }

    private Expression or() {
        Expression left = and();
        for (int i = 0; cursor.skipName("or"); i++) {
            requireShort(i);
            left = new Expression.Binary("or", left, and());
        }
        return left;
    }

    private Expression and() {
        Expression left = not();
        for (int i = 0; cursor.skipName("and"); i++) {
            requireShort(i);
            left = new Expression.Binary("and", left, not());
        }
        return left;
    }

    private Expression not() {
        if (!cursor.skipName("not")) {
            return comparison();
        }
        cursor.enter();
        Expression negated = new Expression.Unary("not", not());
        cursor.leave();
        return negated;
    }

    private Expression comparison() {
        List<Expression> operands = new ArrayList<>(List.of(sum()));
        List<String> operators = new ArrayList<>();
        while (true) {
            if (cursor.is(Token.Kind.OPERATOR)
                    && COMPARISONS.contains(cursor.current().text())) {
                operators.add(cursor.next().text());
            } else if (cursor.skipName("in")) {
                operators.add("in");
            } else if (cursor.isName("not") && cursor.look().isName("in")) {
                cursor.next();
                cursor.next();
                operators.add("not in");
            } else {
                return operators.isEmpty() ? operands.getFirst() : new Expression.Compare(operands, operators);
            }
            operands.add(sum());
        }
    }

    private Expression sum() {
        Expression left = concat();
        for (int i = 0; cursor.isOperator("+") || cursor.isOperator("-"); i++) {
            requireShort(i);
            left = new Expression.Binary(cursor.next().text(), left, concat());
        }
        return left;
    }

    private Expression concat() {
        List<Expression> parts = new ArrayList<>(List.of(product()));
        while (cursor.skipOperator("~")) {
            parts.add(product());
        }
        return parts.size() == 1 ? parts.getFirst() : new Expression.Concat(parts);
    }

    private Expression product() {
        Expression left = power();
        for (int i = 0;
                cursor.isOperator("*") || cursor.isOperator("/") || cursor.isOperator("//") || cursor.isOperator("%");
                i++) {
            requireShort(i);
            left = new Expression.Binary(cursor.next().text(), left, power());
        }
        return left;
    }

    // From the left, unlike Python's.
    private Expression power() {
        Expression left = unary(true);
        for (int i = 0; cursor.skipOperator("**"); i++) {
            requireShort(i);
            left = new Expression.Binary("**", left, unary(true));
        }
        return left;
    }

    private Expression unary(boolean withFilters) {
        Expression value;
        if (cursor.isOperator("-") || cursor.isOperator("+")) {
            cursor.enter();
            value = new Expression.Unary(cursor.next().text(), unary(false));
            cursor.leave();
        } else {
            value = primary();
        }
        value = postfix(value);
        return withFilters ? filtersAndTests(value) : value;
    }

    private Expression primary() {
        Token token = cursor.next();
        return switch (token.kind()) {
            case NAME ->
                switch (token.text()) {
                    case "true", "True" -> new Expression.Literal(true);
                    case "false", "False" -> new Expression.Literal(false);
                    case "none", "None" -> NOTHING;
                    default -> new Expression.Name(token.text());
                };
            case STRING -> {
                StringBuilder text = new StringBuilder(token.text());
                while (cursor.is(Token.Kind.STRING)) {
                    text.append(cursor.next().text());
                }
                yield new Expression.Literal(text.toString());
            }
            case NUMBER_INT, NUMBER_FLOAT -> new Expression.Literal(token.value());
            case OPERATOR ->
                switch (token.text()) {
                    case "(" -> {
                        cursor.enter();
                        Expression inner = tuple(true, null, true);
                        cursor.expectOperator(")");
                        cursor.leave();
                        yield inner;
                    }
                    case "[" -> new Expression.ListOf(items());
                    case "{" -> dict();
                    default -> throw JinjaException.syntax(token.line(), "unexpected '" + token.text() + "'");
                };
            default -> throw JinjaException.syntax(token.line(), "expected an expression, found " + token.shown());
        };
    }

    private List<Expression> items() {
        List<Expression> items = new ArrayList<>();
        while (!cursor.isOperator("]")) {
            if (!items.isEmpty()) {
                cursor.expectOperator(",");
                if (cursor.isOperator("]")) {
                    break;
                }
            }
            items.add(expression());
        }
        cursor.expectOperator("]");
        return items;
    }

    private Expression dict() {
        List<Expression> keys = new ArrayList<>();
        List<Expression> values = new ArrayList<>();
        while (!cursor.isOperator("}")) {
            if (!keys.isEmpty()) {
                cursor.expectOperator(",");
                if (cursor.isOperator("}")) {
                    break;
                }
            }
            keys.add(expression());
            cursor.expectOperator(":");
            values.add(expression());
        }
        cursor.expectOperator("}");
        return new Expression.DictOf(keys, values);
    }

    private Expression postfix(Expression of) {
        Expression value = of;
        for (int i = 0; ; i++) {
            requireShort(i);
            if (cursor.skipOperator(".")) {
                Token name = cursor.next();
                value = switch (name.kind()) {
                    case NAME -> new Expression.Dot(value, name.text());
                    case NUMBER_INT -> new Expression.Bracket(value, new Expression.Literal(name.value()));
                    default -> throw JinjaException.syntax(name.line(), "expected name or number after '.'");
                };
            } else if (cursor.skipOperator("[")) {
                value = bracket(value);
            } else if (cursor.isOperator("(")) {
                value = new Expression.Call(value, arguments());
            } else {
                return value;
            }
        }
    }

    private Expression bracket(Expression of) {
        List<Expression> keys = new ArrayList<>();
        while (!cursor.isOperator("]")) {
            if (!keys.isEmpty()) {
                cursor.expectOperator(",");
            }
            Expression start = cursor.isOperator(":") ? NOTHING : expression();
            if (!cursor.isOperator(":")) {
                keys.add(start);
                continue;
            }
            cursor.next();
            Expression stop = isSliceEnd() || cursor.isOperator(":") ? NOTHING : expression();
            Expression step = cursor.skipOperator(":") && !isSliceEnd() ? expression() : NOTHING;
            if (!keys.isEmpty() || !cursor.isOperator("]")) {
                throw cursor.fail("a slice among several keys");
            }
            cursor.next();
            return new Expression.Slice(of, start, stop, step);
        }
        cursor.expectOperator("]");
        return new Expression.Bracket(of, keys.size() == 1 ? keys.getFirst() : new Expression.TupleOf(keys));
    }

    private boolean isSliceEnd() {
        return cursor.isOperator("]") || cursor.isOperator(",");
    }

    private Expression filtersAndTests(Expression of) {
        Expression value = of;
        for (int i = 0; ; i++) {
            requireShort(i);
            if (cursor.skipOperator("|")) {
                value = oneFilter(value);
            } else if (cursor.skipName("is")) {
                value = test(value);
            } else if (cursor.isOperator("(")) {
                value = new Expression.Call(value, arguments());
            } else {
                return value;
            }
        }
    }

    private Expression.Filter oneFilter(@Nullable Expression of) {
        String name = cursor.dottedName();
        return new Expression.Filter(of, name, cursor.isOperator("(") ? arguments() : Expression.CallArguments.NONE);
    }

    /** Filters of a block's text: a name or a chain of them. */
    public Expression.Filter blockFilter() {
        Expression.Filter filter = oneFilter(null);
        for (int i = 0; cursor.skipOperator("|"); i++) {
            requireShort(i);
            filter = oneFilter(filter);
        }
        return filter;
    }

    private Expression test(Expression of) {
        boolean negated = cursor.skipName("not");
        String name = cursor.dottedName();
        Expression.CallArguments arguments = Expression.CallArguments.NONE;
        if (cursor.isOperator("(")) {
            arguments = arguments();
        } else if (beginsArgument()) {
            if (cursor.isName("is")) {
                throw cursor.fail("You cannot chain multiple tests with is");
            }
            cursor.enter();
            arguments = new Expression.CallArguments(List.of(postfix(primary())), List.of(), null, null);
            cursor.leave();
        }
        Expression test = new Expression.Test(of, name, arguments);
        return negated ? new Expression.Unary("not", test) : test;
    }

    private boolean beginsArgument() {
        Token token = cursor.current();
        return switch (token.kind()) {
            case NAME -> !(token.isName("else") || token.isName("or") || token.isName("and"));
            case STRING, NUMBER_INT, NUMBER_FLOAT -> true;
            case OPERATOR -> token.isOperator("[") || token.isOperator("{");
            default -> false;
        };
    }

    Expression.CallArguments arguments() {
        int line = cursor.current().line();
        cursor.expectOperator("(");
        List<Expression> positional = new ArrayList<>();
        List<Expression.Keyword> keywords = new ArrayList<>();
        Set<String> names = new HashSet<>();
        Expression star = null;
        Expression stars = null;
        boolean first = true;
        while (!cursor.isOperator(")")) {
            if (!first) {
                cursor.expectOperator(",");
                if (cursor.isOperator(")")) {
                    break;
                }
            }
            first = false;
            boolean fits;
            if (cursor.skipOperator("*")) {
                fits = star == null && stars == null;
                star = expression();
            } else if (cursor.skipOperator("**")) {
                fits = stars == null;
                stars = expression();
            } else if (cursor.is(Token.Kind.NAME) && cursor.look().isOperator("=")) {
                String name = cursor.next().text();
                cursor.next();
                fits = stars == null && names.add(name);
                keywords.add(new Expression.Keyword(name, expression()));
            } else {
                fits = star == null && stars == null && keywords.isEmpty();
                positional.add(expression());
            }
            if (!fits) {
                throw JinjaException.syntax(line, "invalid syntax for function call expression");
            }
        }
        cursor.expectOperator(")");
        return new Expression.CallArguments(positional, keywords, star, stars);
    }
}
