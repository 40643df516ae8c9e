package nibble.jinja;

import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import nibble.jinja.syntax.Cursor;
import nibble.jinja.syntax.Expression;
import nibble.jinja.syntax.ExpressionParser;
import nibble.jinja.syntax.JinjaException;
import nibble.jinja.syntax.Lexer;
import nibble.jinja.syntax.Statement;
import nibble.jinja.syntax.Token;
import org.jspecify.annotations.Nullable;

/** Reads statements. */
final class Parser {
    private static final Set<String> NOT_ASSIGNABLE = Set.of("true", "True", "false", "False", "none", "None");

    private final Cursor cursor;
    private final ExpressionParser expressions;
    private final boolean withDo;
    private final Set<String> blocks = new HashSet<>();

    /** How many loops the present place is in, which break and continue may leave. */
    private int loops;

    /** How many loops are around the present place, whatever is between. */
    private int around;

    private Parser(List<Token> tokens, boolean withDo) {
        this.cursor = new Cursor(tokens);
        this.expressions = new ExpressionParser(cursor);
        this.withDo = withDo;
    }

    /** @throws JinjaException if the text is no template */
    static Statement.Body parse(String source, Dialect dialect) {
        Parser parser = new Parser(Lexer.tokens(source, dialect != Dialect.TASK), dialect == Dialect.DOCUMENT);
        return new Statement.Body(parser.statements());
    }

    /**
     * Statements up to a tag of one of these names, which is the present token then; to the end if there are no names.
     */
    private List<Statement> statements(String... ends) {
        cursor.enter();
        List<Statement> statements = new ArrayList<>();
        while (!cursor.is(Token.Kind.END)) {
            Token token = cursor.next();
            switch (token.kind()) {
                case DATA -> statements.add(new Statement.Data(token.text(), 0));
                case VARIABLE_BEGIN -> {
                    statements.add(new Statement.Print(expressions.tuple(true, null), token.line()));
                    cursor.expect(Token.Kind.VARIABLE_END, "}}");
                }
                case BLOCK_BEGIN -> {
                    for (String end : ends) {
                        if (cursor.isName(end)) {
                            cursor.leave();
                            return statements;
                        }
                    }
                    statement(statements);
                    cursor.expect(Token.Kind.BLOCK_END, "%}");
                }
                default -> throw JinjaException.syntax(token.line(), "unexpected " + token.shown());
            }
        }
        if (ends.length > 0) {
            throw cursor.fail("the template ends before {% " + ends[ends.length - 1] + " %}");
        }
        cursor.leave();
        return statements;
    }

    /** The statements of a block: from the end of its tag to one of these tags, which is the present token then. */
    private List<Statement> block(String... ends) {
        cursor.skipOperator(":");
        cursor.expect(Token.Kind.BLOCK_END, "%}");
        return statements(ends);
    }

    /** The same to one tag, which is gone through. */
    private List<Statement> wholeBlock(String end) {
        List<Statement> statements = block(end);
        cursor.next();
        return statements;
    }

    private void statement(List<Statement> to) {
        Token tag = cursor.expect(Token.Kind.NAME, "a tag's name");
        int line = tag.line();
        switch (tag.text()) {
            case "for" -> to.add(loop(line));
            case "if" -> to.add(condition(line));
            case "set" -> to.add(assignment(line));
            case "macro" -> to.add(macro(line));
            case "call" -> to.add(callBlock(line));
            case "filter" -> {
                Expression.Filter filter = expressions.blockFilter();
                to.add(new Statement.FilterBlock(filter, new Statement.Body(wholeBlock("endfilter")), line));
            }
            case "with" -> to.add(with(line));
            case "generation" ->
                to.add(new Statement.Generation(definition("caller", List.of(), "endgeneration", line), line));
            case "autoescape" -> {
                Expression value = expressions.expression();
                to.add(new Statement.Autoescape(value, new Statement.Body(wholeBlock("endautoescape")), line));
            }
            case "block" -> to.add(namedBlock(line));
            case "print" -> {
                while (!cursor.is(Token.Kind.BLOCK_END)) {
                    to.add(new Statement.Print(expressions.expression(), line));
                    if (!cursor.is(Token.Kind.BLOCK_END)) {
                        cursor.expectOperator(",");
                    }
                }
            }
            case "break", "continue" -> {
                if (loops == 0) {
                    throw JinjaException.syntax(line, "'" + tag.text() + "' outside of a loop");
                }
                to.add(tag.text().equals("break") ? new Statement.Break(line) : new Statement.Continue(line));
            }
            case "extends", "include", "import", "from" -> {
                to.add(new Statement.Load(tag.text(), expressions.expression(), line));
                while (!cursor.is(Token.Kind.BLOCK_END) && !cursor.is(Token.Kind.END)) {
                    cursor.next();
                }
            }
            case "do" -> {
                if (!withDo) {
                    throw JinjaException.syntax(line, "unknown tag 'do'");
                }
                to.add(new Statement.Do(expressions.tuple(true, null), line));
            }
            default -> throw JinjaException.syntax(line, "unknown tag '" + tag.text() + "'");
        }
    }

    private Statement loop(int line) {
        Statement.Target target = target("in", false);
        if (!cursor.skipName("in")) {
            throw cursor.unexpected("'in'");
        }
        Expression items = expressions.tuple(false, "recursive");
        Expression condition = cursor.skipName("if") ? expressions.expression() : null;
        boolean recursive = cursor.skipName("recursive");
        loops++;
        around++;
        forbidLoop(target, line);
        List<Statement> body = block("endfor", "else");
        loops--;
        List<Statement> otherwise = cursor.next().isName("else") ? wholeBlock("endfor") : List.of();
        around--;
        return new Statement.For(
                target,
                items,
                condition,
                recursive,
                new Statement.Body(body),
                new Statement.Body(otherwise),
                new Statement.Body(List.of()),
                line);
    }

    /** Within a loop, even in a macro there, nothing else may be called {@code loop}. */
    private void forbidLoop(Statement.Target target, int line) {
        if (around == 0) {
            return;
        }
        if (target instanceof Statement.Target.Several several) {
            several.targets().forEach(one -> forbidLoop(one, line));
        } else if (target instanceof Statement.Target.Variable variable
                && variable.name().equals("loop")) {
            throw JinjaException.syntax(line, "Can't assign to special loop variable in for-loop target");
        }
    }

    private Statement condition(int line) {
        List<Statement.Branch> branches = new ArrayList<>();
        int at = line;
        while (true) {
            Expression test = expressions.tuple(false, null);
            branches.add(new Statement.Branch(test, block("elif", "else", "endif"), at));
            Token end = cursor.next();
            at = end.line();
            if (end.isName("else")) {
                return new Statement.If(branches, wholeBlock("endif"), line);
            }
            if (end.isName("endif")) {
                return new Statement.If(branches, List.of(), line);
            }
        }
    }

    private Statement assignment(int line) {
        Statement.Target target = target(null, true);
        forbidLoop(target, line);
        if (cursor.skipOperator("=")) {
            return new Statement.Assign(target, expressions.tuple(true, null), line);
        }
        Expression.Filter filter = cursor.skipOperator("|") ? expressions.blockFilter() : null;
        return new Statement.SetBlock(target, filter, new Statement.Body(wholeBlock("endset")), line);
    }

    /** One target or several; {@code end} is a name that stands behind them. */
    private Statement.Target target(@Nullable String end, boolean withNamespaces) {
        List<Statement.Target> targets = new ArrayList<>();
        boolean several = false;
        while (true) {
            if (cursor.isOperator(")") || cursor.is(Token.Kind.BLOCK_END) || end != null && cursor.isName(end)) {
                break;
            }
            targets.add(oneTarget(withNamespaces));
            if (!cursor.skipOperator(",")) {
                break;
            }
            several = true;
        }
        if (targets.isEmpty()) {
            throw cursor.unexpected("a name to assign to");
        }
        return several ? new Statement.Target.Several(targets) : targets.getFirst();
    }

    private Statement.Target oneTarget(boolean withNamespaces) {
        if (cursor.skipOperator("(")) {
            cursor.enter();
            Statement.Target inner = target(null, withNamespaces);
            cursor.expectOperator(")");
            cursor.leave();
            return inner;
        }
        String name = assignableName();
        return withNamespaces && cursor.skipOperator(".")
                ? new Statement.Target.Attribute(
                        name, cursor.expect(Token.Kind.NAME, "a name").text())
                : new Statement.Target.Variable(name);
    }

    private String assignableName() {
        Token token = cursor.expect(Token.Kind.NAME, "a name");
        if (NOT_ASSIGNABLE.contains(token.text())) {
            throw JinjaException.syntax(token.line(), "can't assign to '" + token.text() + "'");
        }
        return token.text();
    }

    private List<Statement.Parameter> signature() {
        List<Statement.Parameter> parameters = new ArrayList<>();
        Set<String> names = new HashSet<>();
        boolean defaults = false;
        cursor.expectOperator("(");
        while (!cursor.isOperator(")")) {
            if (!parameters.isEmpty()) {
                cursor.expectOperator(",");
            }
            String name = assignableName();
            Expression value = cursor.skipOperator("=") ? expressions.expression() : null;
            if (value == null && defaults) {
                throw cursor.fail("non-default argument follows default argument");
            }
            if (!names.add(name)) {
                throw cursor.fail("duplicate argument '" + name + "' in function definition");
            }
            defaults |= value != null;
            parameters.add(new Statement.Parameter(name, value));
        }
        cursor.expectOperator(")");
        return parameters;
    }

    private Statement.MacroDefinition macro(int line) {
        return definition(assignableName(), signature(), "endmacro", line);
    }

    private Statement.MacroDefinition definition(
            String name, List<Statement.Parameter> parameters, String end, int line) {
        int outside = loops;
        loops = 0;
        Statement.Body body = new Statement.Body(wholeBlock(end));
        loops = outside;
        Set<String> special = Analysis.undeclared(body.statements(), Set.of("caller", "kwargs", "varargs"));
        for (Statement.Parameter parameter : parameters) {
            if (parameter.name().equals("caller") && parameter.value() == null && special.contains("caller")) {
                throw JinjaException.syntax(
                        line, "a macro's parameter \"caller\" must be omitted or be given a default");
            }
        }
        return new Statement.MacroDefinition(name, parameters, body, special, line);
    }

    private Statement callBlock(int line) {
        List<Statement.Parameter> parameters = cursor.isOperator("(") ? signature() : List.of();
        if (!(expressions.expression() instanceof Expression.Call call)) {
            throw JinjaException.syntax(line, "expected a call");
        }
        return new Statement.CallBlock(call, definition("caller", parameters, "endcall", line), line);
    }

    private Statement with(int line) {
        List<Statement.Target> targets = new ArrayList<>();
        List<Expression> values = new ArrayList<>();
        while (!cursor.is(Token.Kind.BLOCK_END)) {
            if (!targets.isEmpty()) {
                cursor.expectOperator(",");
            }
            targets.add(target(null, false));
            cursor.expectOperator("=");
            values.add(expressions.expression());
        }
        return new Statement.With(targets, values, new Statement.Body(wholeBlock("endwith")), line);
    }

    private Statement namedBlock(int line) {
        String name = cursor.expect(Token.Kind.NAME, "a block's name").text();
        boolean scoped = cursor.skipName("scoped");
        boolean required = cursor.skipName("required");
        if (required || !blocks.add(name)) {
            throw JinjaException.syntax(
                    line,
                    required
                            ? "block '" + name + "' is required but not defined"
                            : "block '" + name + "' defined twice");
        }
        int outside = loops;
        loops = 0;
        List<Statement> body = wholeBlock("endblock");
        loops = outside;
        cursor.skipName(name);
        return new Statement.Block(name, scoped, new Statement.Body(body), line);
    }
}
