package nibble.jinja;

import java.util.ArrayList;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.NoSuchElementException;
import nibble.jinja.python.Arguments;
import nibble.jinja.python.Budget;
import nibble.jinja.python.PyIterator;
import nibble.jinja.python.PythonException;
import nibble.jinja.python.Repr;
import nibble.jinja.python.Undefined;
import nibble.jinja.python.Values;
import nibble.jinja.syntax.Expression;
import nibble.jinja.syntax.Statement;
import org.jspecify.annotations.Nullable;

/** Runs statements and collects what they print. */
final class Renderer {
    /** Deepest calls of macros and recursive loops within one another; Jinja2 itself ends at about 190. */
    private static final int MAX_CALLS = 200;

    private enum Flow {
        NEXT,
        BREAK,
        CONTINUE
    }

    private final Scope template;
    private final boolean strict;
    private StringBuilder out = new StringBuilder();
    private int calls;
    private int line;

    Renderer(Scope template, boolean strict) {
        this.template = template;
        this.strict = strict;
    }

    /** The line that is being rendered. */
    int line() {
        return line;
    }

    String render(Statement.Body body) {
        run(body.statements(), template);
        return out.toString();
    }

    private void print(String text) {
        Budget.characters(text.length());
        out.append(text);
    }

    /** Prints what must be a text already. */
    private void printText(Object value) {
        if (!Values.isText(value)) {
            throw new PythonException(
                    PythonException.Kind.TYPE, "expected str instance, " + Values.typeName(value) + " found");
        }
        print(value.toString());
    }

    /** What something prints, as a text. */
    private String captured(Runnable task) {
        StringBuilder before = out;
        out = new StringBuilder();
        try {
            task.run();
            return out.toString();
        } finally {
            out = before;
        }
    }

    /** Runs a body that prints into a text of its own; where it leaves a loop, the text is lost, as in Jinja2. */
    private Flow runInto(StringBuilder text, Statement.Body body, Scope scope) {
        StringBuilder before = out;
        out = text;
        try {
            return run(body.statements(), scope);
        } finally {
            out = before;
        }
    }

    private Flow run(List<Statement> statements, Scope scope) {
        for (Statement statement : statements) {
            Flow flow = run(statement, scope);
            if (flow != Flow.NEXT) {
                return flow;
            }
        }
        return Flow.NEXT;
    }

    private Flow run(Statement statement, Scope scope) {
        line = statement.line() > 0 ? statement.line() : line;
        Budget.step();
        switch (statement) {
            case Statement.Data data -> print(data.text());
            case Statement.Print print -> {
                Object value = Evaluator.value(print.value(), scope);
                if (strict && value instanceof Undefined undefined && !undefined.prints()) {
                    throw undefined.error();
                }
                print(Repr.str(value));
            }
            case Statement.Do run -> Evaluator.value(run.value(), scope);
            case Statement.If condition -> {
                return run(chosen(condition, scope), scope);
            }
            case Statement.For loop -> {
                return loop(loop, scope);
            }
            case Statement.Assign set -> {
                requireNamespaces(set.target(), scope);
                assign(set.target(), Evaluator.value(set.value(), scope), scope);
            }
            case Statement.SetBlock set -> {
                Scope inner = new Scope(scope, set.body());
                StringBuilder text = new StringBuilder();
                Flow flow = runInto(text, set.body(), inner);
                if (flow != Flow.NEXT) {
                    return flow;
                }
                requireNamespaces(set.target(), scope);
                Object value = text.toString();
                assign(
                        set.target(),
                        set.filter() == null ? value : Evaluator.filter(set.filter(), value, inner),
                        scope);
            }
            case Statement.MacroDefinition macro -> scope.set(macro.name(), new Macro(macro, this, scope, false));
            case Statement.CallBlock block -> {
                Object function = Evaluator.value(block.call().of(), scope);
                Arguments arguments = Evaluator.arguments(block.call().arguments(), scope);
                Map<String, Object> named = new LinkedHashMap<>(arguments.named());
                named.put("caller", new Macro(block.caller(), this, scope, true));
                printText(Evaluator.call(function, new Arguments(arguments.positional(), named)));
            }
            case Statement.FilterBlock block -> {
                Scope inner = new Scope(scope, block.body());
                StringBuilder text = new StringBuilder();
                Flow flow = runInto(text, block.body(), inner);
                if (flow != Flow.NEXT) {
                    return flow;
                }
                printText(Evaluator.filter(block.filter(), text.toString(), inner));
            }
            case Statement.With with -> {
                Scope inner = new Scope(scope, with.body());
                for (int i = 0; i < with.targets().size(); i++) {
                    assign(with.targets().get(i), Evaluator.value(with.values().get(i), scope), inner);
                }
                return run(with.body().statements(), inner);
            }
            case Statement.Generation block ->
                print(Repr.str(new Macro(block.body(), this, scope, true).call(Arguments.NONE)));
            case Statement.Autoescape block -> {
                if (Values.truth(Evaluator.value(block.value(), scope))) {
                    throw new PythonException(PythonException.Kind.LIMIT, "autoescape is not supported");
                }
                return run(block.body().statements(), new Scope(scope, block.body()));
            }
            case Statement.Block block ->
                run(block.body().statements(), new Scope(block.scoped() ? scope : template, block.body()));
            case Statement.Load other ->
                throw new PythonException(
                        PythonException.Kind.TYPE,
                        "{% " + other.tag() + " %}: no loader for this environment specified");
            case Statement.Break leave -> {
                return Flow.BREAK;
            }
            case Statement.Continue next -> {
                return Flow.CONTINUE;
            }
        }
        return Flow.NEXT;
    }

    private List<Statement> chosen(Statement.If condition, Scope scope) {
        for (Statement.Branch branch : condition.branches()) {
            line = branch.line();
            if (Values.truth(Evaluator.value(branch.test(), scope))) {
                return branch.statements();
            }
        }
        return condition.otherwise();
    }

    private Flow loop(Statement.For loop, Scope scope) {
        Object items = Evaluator.value(loop.items(), scope);
        if (!loop.recursive()) {
            return iterate(loop, items, scope, 0);
        }
        print(recursion(loop, items, scope, 0));
        return Flow.NEXT;
    }

    private String recursion(Statement.For loop, Object items, Scope scope, int depth) {
        return captured(() -> called(() -> iterate(loop, items, scope, depth)));
    }

    /** Does something one call deeper. */
    private void called(Runnable task) {
        if (++calls > MAX_CALLS) {
            throw new PythonException(
                    PythonException.Kind.LIMIT, "more than " + MAX_CALLS + " calls within one another");
        }
        int before = line;
        task.run();
        line = before;
        calls--;
    }

    /** What the part behind {@code else} does may leave a loop around this one. */
    private Flow iterate(Statement.For loop, Object items, Scope scope, int depth) {
        Object chosen =
                loop.condition() == null ? items : new PyIterator(filtered(loop, loop.condition(), items, scope));
        LoopContext context = new LoopContext(
                chosen, depth, loop.recursive() ? (inner, deeper) -> recursion(loop, inner, scope, deeper) : null);
        boolean completed = false;
        while (context.advance()) {
            Scope inner = new Scope(scope, loop.body());
            inner.set("loop", context);
            assign(loop.target(), context.current(), inner);
            Flow flow = run(loop.body().statements(), inner);
            if (flow == Flow.BREAK) {
                break;
            }
            // Jinja2 takes a loop whose every turn ends early for one without items.
            completed |= flow == Flow.NEXT;
        }
        if (!completed && !loop.otherwise().statements().isEmpty()) {
            return run(loop.otherwise().statements(), new Scope(scope, loop.otherwise()));
        }
        return Flow.NEXT;
    }

    private Iterator<Object> filtered(Statement.For loop, Expression condition, Object items, Scope scope) {
        Iterator<Object> all = Values.iterate(items);
        return new Iterator<>() {
            private @Nullable Object next;

            @Override
            public boolean hasNext() {
                while (next == null && all.hasNext()) {
                    Object item = all.next();
                    Scope inner = new Scope(scope, loop.filter());
                    assign(loop.target(), item, inner);
                    next = Values.truth(Evaluator.value(condition, inner)) ? item : null;
                }
                return next != null;
            }

            @Override
            public Object next() {
                if (!hasNext() || next == null) {
                    throw new NoSuchElementException();
                }
                Object item = next;
                next = null;
                return item;
            }
        };
    }

    private static void requireNamespaces(Statement.Target target, Scope scope) {
        if (target instanceof Statement.Target.Several several) {
            several.targets().forEach(one -> requireNamespaces(one, scope));
        } else if (target instanceof Statement.Target.Attribute attribute
                && !(scope.get(attribute.namespace()) instanceof Namespace)) {
            throw new PythonException(PythonException.Kind.RUNTIME, "cannot assign attribute on non-namespace object");
        }
    }

    private static void assign(Statement.Target target, Object value, Scope scope) {
        switch (target) {
            case Statement.Target.Variable variable -> scope.set(variable.name(), value);
            case Statement.Target.Attribute attribute -> {
                if (scope.get(attribute.namespace()) instanceof Namespace namespace) {
                    namespace.set(attribute.name(), value);
                }
            }
            case Statement.Target.Several several -> {
                List<Object> values = Values.list(value);
                if (values.size() != several.targets().size()) {
                    throw new PythonException(
                            PythonException.Kind.VALUE,
                            values.size() + " values to unpack, expected "
                                    + several.targets().size());
                }
                for (int i = 0; i < values.size(); i++) {
                    assign(several.targets().get(i), values.get(i), scope);
                }
            }
        }
    }

    /** What a macro prints for values of its parameters; null where none was given. */
    String macro(
            Statement.MacroDefinition macro,
            List<@Nullable Object> values,
            Map<String, Object> special,
            Scope outside) {
        Scope inner = new Scope(outside, macro.body());
        List<Statement.Parameter> missing = new ArrayList<>();
        for (int i = 0; i < macro.parameters().size(); i++) {
            Object value = values.get(i);
            if (value == null) {
                inner.unset(macro.parameters().get(i).name());
                missing.add(macro.parameters().get(i));
            } else {
                inner.set(macro.parameters().get(i).name(), value);
            }
        }
        special.forEach(inner::set);
        return captured(() -> called(() -> {
            for (Statement.Parameter parameter : missing) {
                inner.set(
                        parameter.name(),
                        parameter.value() == null
                                ? Undefined.because("parameter '" + parameter.name() + "' was not provided")
                                : Evaluator.value(parameter.value(), inner));
            }
            run(macro.body().statements(), inner);
        }));
    }
}
