package nibble.jinja.syntax;

import java.util.HashSet;
import java.util.List;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/** Does a step of a template. */
public sealed interface Statement {
    /** Returns its line, from 1; of text, 0. */
    int line();

    /** Holds statements that have names of their own. */
    public final class Body {
        private final List<Statement> statements;

        /**
         * Names that are without a value at the beginning, although they may have one outside;
         * {@link nibble.jinja.Analysis} finds them.
         */
        private final Set<String> undefined = new HashSet<>();

        public Body(List<Statement> statements) {
            this.statements = statements;
        }

        public List<Statement> statements() {
            return statements;
        }

        public Set<String> undefined() {
            return undefined;
        }
    }

    /** Names what is assigned to. */
    sealed interface Target {
        record Variable(String name) implements Target {}

        record Attribute(String namespace, String name) implements Target {}

        record Several(List<Target> targets) implements Target {}
    }

    /** Describes a parameter of a macro. */
    record Parameter(String name, @Nullable Expression value) {}

    record Data(String text, int line) implements Statement {}

    record Print(Expression value, int line) implements Statement {}

    /** Runs a loop. {@code filter} is a scope of its own for the condition that may stand behind {@code if}. */
    record For(
            Target target,
            Expression items,
            @Nullable Expression condition,
            boolean recursive,
            Body body,
            Body otherwise,
            Body filter,
            int line)
            implements Statement {}

    record If(List<Branch> branches, List<Statement> otherwise, int line) implements Statement {}

    record Branch(Expression test, List<Statement> statements, int line) {}

    record Assign(Target target, Expression value, int line) implements Statement {}

    record SetBlock(Target target, Expression.@Nullable Filter filter, Body body, int line) implements Statement {}

    /** Defines a macro; {@code special} holds those of caller, kwargs and varargs that the body uses. */
    record MacroDefinition(String name, List<Parameter> parameters, Body body, Set<String> special, int line)
            implements Statement {}

    record CallBlock(Expression.Call call, MacroDefinition caller, int line) implements Statement {}

    record FilterBlock(Expression.Filter filter, Body body, int line) implements Statement {}

    record With(List<Target> targets, List<Expression> values, Body body, int line) implements Statement {}

    /** Marks what the assistant says, by transformers' tag: it prints its body as a macro without parameters would. */
    record Generation(MacroDefinition body, int line) implements Statement {}

    /** Renders the tag {@code autoescape}. */
    record Autoescape(Expression value, Body body, int line) implements Statement {}

    record Block(String name, boolean scoped, Body body, int line) implements Statement {}

    record Do(Expression value, int line) implements Statement {}

    record Break(int line) implements Statement {}

    record Continue(int line) implements Statement {}

    /** Loads something of another template, of which there is none. */
    record Load(String tag, Expression template, int line) implements Statement {}
}
