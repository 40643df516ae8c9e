package nibble.jinja;

import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.Consumer;
import nibble.jinja.syntax.Expression;
import nibble.jinja.syntax.JinjaException;
import nibble.jinja.syntax.Statement;
import org.jspecify.annotations.Nullable;

/**
 * Finds out what Jinja2 decides about names before it renders. A name that a scope assigns to before it uses it belongs
 * to that scope from the beginning, even where a variable outside has the same name; and filters and tests must exist,
 * except within conditions.
 */
public final class Analysis {
    private enum Load {
        /** Given to the scope, as a loop's target. */
        PARAMETER,
        /** Looked for outside. */
        OUTSIDE,
        /** Without a value until it is assigned to. */
        UNDEFINED
    }

    /** The names of one scope. */
    private static final class Symbols {
        private final @Nullable Symbols parent;
        private final Map<String, Load> names = new LinkedHashMap<>();
        private final Set<String> stores = new HashSet<>();

        Symbols(@Nullable Symbols parent) {
            this.parent = parent;
        }

        Symbols copy() {
            Symbols copy = new Symbols(parent);
            copy.names.putAll(names);
            copy.stores.addAll(stores);
            return copy;
        }

        boolean isKnown(String name) {
            for (Symbols scope = this; scope != null; scope = scope.parent) {
                if (scope.names.containsKey(name)) {
                    return true;
                }
            }
            return false;
        }

        void load(String name) {
            if (!isKnown(name)) {
                names.put(name, Load.OUTSIDE);
            }
        }

        void store(String name) {
            stores.add(name);
            names.putIfAbsent(name, parent != null && parent.isKnown(name) ? Load.OUTSIDE : Load.UNDEFINED);
        }

        void parameter(String name) {
            stores.add(name);
            names.put(name, Load.PARAMETER);
        }

        /** Takes over what the branches of a condition do; what only they assign to is looked for outside. */
        void join(List<Symbols> branches) {
            Set<String> fresh = new HashSet<>();
            branches.forEach(branch -> fresh.addAll(branch.stores));
            fresh.removeAll(stores);
            for (Symbols branch : branches) {
                names.putAll(branch.names);
                stores.addAll(branch.stores);
            }
            fresh.forEach(name -> names.put(name, Load.OUTSIDE));
        }
    }

    private Analysis() {}

    /** Completes a template's scopes. @throws JinjaException if a filter or test does not exist */
    static void complete(Statement.Body template) {
        scope(template, null, Set.of(), List.of());
    }

    private static void scope(
            Statement.Body body, @Nullable Symbols parent, Set<String> parameters, List<Expression> before) {
        Symbols symbols = new Symbols(parent);
        parameters.forEach(symbols::parameter);
        before.forEach(expression -> load(expression, symbols));
        body.statements().forEach(statement -> visit(statement, symbols));
        symbols.names.forEach((name, load) -> {
            if (load == Load.UNDEFINED) {
                body.undefined().add(name);
            }
        });
        body.statements().forEach(statement -> within(statement, symbols, false));
    }

    private static void load(@Nullable Expression expression, Symbols symbols) {
        if (expression instanceof Expression.Name name) {
            symbols.load(name.name());
        } else if (expression != null) {
            expression.children(child -> load(child, symbols));
        }
    }

    private static void store(Statement.Target target, Consumer<String> variable, Consumer<String> namespace) {
        switch (target) {
            case Statement.Target.Variable one -> variable.accept(one.name());
            case Statement.Target.Attribute one -> namespace.accept(one.namespace());
            case Statement.Target.Several several -> several.targets().forEach(one -> store(one, variable, namespace));
        }
    }

    private static Set<String> names(Statement.Target target) {
        Set<String> names = new HashSet<>();
        store(target, names::add, name -> {});
        return names;
    }

    /** What a statement does to the names of the scope that it stands in. */
    private static void visit(Statement statement, Symbols symbols) {
        switch (statement) {
            case Statement.Print print -> load(print.value(), symbols);
            case Statement.Do run -> load(run.value(), symbols);
            case Statement.Load other -> load(other.template(), symbols);
            case Statement.For loop -> load(loop.items(), symbols);
            case Statement.Assign set -> {
                load(set.value(), symbols);
                store(set.target(), symbols::store, symbols::load);
            }
            case Statement.SetBlock set -> store(set.target(), symbols::store, symbols::load);
            case Statement.MacroDefinition macro -> symbols.store(macro.name());
            case Statement.CallBlock call -> load(call.call(), symbols);
            case Statement.FilterBlock filter -> load(filter.filter(), symbols);
            case Statement.With with -> with.values().forEach(value -> load(value, symbols));
            case Statement.If condition -> branches(condition, symbols);
            case Statement.Data data -> {}
            case Statement.Generation generation -> {}
            case Statement.Autoescape autoescape -> {}
            case Statement.Block block -> {}
            case Statement.Break leave -> {}
            case Statement.Continue next -> {}
        }
    }

    private static void branches(Statement.If condition, Symbols symbols) {
        load(condition.branches().getFirst().test(), symbols);
        Symbols first = symbols.copy();
        condition.branches().getFirst().statements().forEach(statement -> visit(statement, first));
        Symbols middle = symbols.copy();
        for (Statement.Branch branch :
                condition.branches().subList(1, condition.branches().size())) {
            load(branch.test(), middle);
            Symbols inner = middle.copy();
            branch.statements().forEach(statement -> visit(statement, inner));
            middle.join(List.of(inner));
        }
        Symbols last = symbols.copy();
        condition.otherwise().forEach(statement -> visit(statement, last));
        symbols.join(List.of(first, middle, last));
    }

    /** Goes into the scopes within a statement. {@code soft}: within a condition, where filters may be unknown. */
    private static void within(Statement statement, Symbols symbols, boolean soft) {
        int line = statement.line();
        switch (statement) {
            case Statement.Print print -> check(print.value(), soft, line);
            case Statement.Do run -> check(run.value(), soft, line);
            case Statement.Load other -> check(other.template(), soft, line);
            case Statement.Assign set -> check(set.value(), soft, line);
            case Statement.If condition -> {
                for (Statement.Branch branch : condition.branches()) {
                    check(branch.test(), true, branch.line());
                    branch.statements().forEach(inner -> within(inner, symbols, true));
                }
                condition.otherwise().forEach(inner -> within(inner, symbols, true));
            }
            case Statement.For loop -> {
                check(loop.items(), soft, line);
                Set<String> targets = names(loop.target());
                if (loop.condition() != null) {
                    check(loop.condition(), false, line);
                    scope(loop.filter(), symbols, targets, List.of(loop.condition()));
                }
                if (loop.recursive()
                        || !undeclared(loop.body().statements(), Set.of("loop")).isEmpty()) {
                    targets.add("loop");
                }
                scope(loop.body(), symbols, targets, List.of());
                scope(loop.otherwise(), symbols, Set.of(), List.of());
            }
            case Statement.SetBlock set -> {
                check(set.filter(), false, line);
                scope(set.body(), symbols, Set.of(), List.of());
            }
            case Statement.MacroDefinition macro -> macro(macro, symbols);
            case Statement.CallBlock call -> {
                check(call.call(), soft, line);
                macro(call.caller(), symbols);
            }
            case Statement.FilterBlock filter -> {
                check(filter.filter(), false, line);
                scope(filter.body(), symbols, Set.of(), List.of());
            }
            case Statement.With with -> {
                with.values().forEach(value -> check(value, soft, line));
                Set<String> targets = new HashSet<>();
                with.targets().forEach(target -> targets.addAll(names(target)));
                scope(with.body(), symbols, targets, List.of());
            }
            case Statement.Generation generation -> macro(generation.body(), symbols);
            case Statement.Autoescape block -> scope(block.body(), symbols, Set.of(), List.of());
            case Statement.Block block -> scope(block.body(), null, Set.of(), List.of());
            case Statement.Data data -> {}
            case Statement.Break leave -> {}
            case Statement.Continue next -> {}
        }
    }

    private static void macro(Statement.MacroDefinition macro, Symbols symbols) {
        Set<String> names = new HashSet<>(macro.special());
        List<Expression> defaults = new java.util.ArrayList<>();
        for (Statement.Parameter parameter : macro.parameters()) {
            names.add(parameter.name());
            if (parameter.value() != null) {
                check(parameter.value(), false, macro.line());
                defaults.add(parameter.value());
            }
        }
        scope(macro.body(), symbols, names, defaults);
    }

    private static void check(@Nullable Expression expression, boolean soft, int line) {
        switch (expression) {
            case null -> {}
            case Expression.Filter filter
            when !soft && !Filters.exists(filter.name()) ->
                throw JinjaException.syntax(line, "No filter named '" + filter.name() + "'");
            case Expression.Test test
            when !soft && !Tests.exists(test.name()) ->
                throw JinjaException.syntax(line, "No test named '" + test.name() + "'");
            case Expression.Condition condition -> condition.children(child -> check(child, true, line));
            default -> expression.children(child -> check(child, soft, line));
        }
    }

    /** Which of these names are used, anywhere within, before they are assigned to. */
    static Set<String> undeclared(List<Statement> statements, Set<String> names) {
        Uses uses = new Uses(names);
        statements.forEach(uses::visit);
        return uses.found;
    }

    /** Goes through everything in the order in which it stands. */
    private static final class Uses {
        private final Set<String> wanted;
        private final Set<String> found = new HashSet<>();

        Uses(Set<String> names) {
            this.wanted = new HashSet<>(names);
        }

        private void use(@Nullable Expression expression) {
            if (expression instanceof Expression.Name name) {
                if (wanted.contains(name.name())) {
                    found.add(name.name());
                }
            } else if (expression != null) {
                expression.children(this::use);
            }
        }

        private void assign(Statement.Target target) {
            store(target, wanted::remove, name -> {});
        }

        private void visitAll(Statement.Body body) {
            body.statements().forEach(this::visit);
        }

        private void visit(Statement statement) {
            switch (statement) {
                case Statement.Print print -> use(print.value());
                case Statement.Do run -> use(run.value());
                case Statement.Load other -> use(other.template());
                case Statement.Assign set -> {
                    assign(set.target());
                    use(set.value());
                }
                case Statement.SetBlock set -> {
                    assign(set.target());
                    use(set.filter());
                    visitAll(set.body());
                }
                case Statement.For loop -> {
                    assign(loop.target());
                    use(loop.items());
                    visitAll(loop.body());
                    visitAll(loop.otherwise());
                    use(loop.condition());
                }
                case Statement.If condition -> {
                    for (Statement.Branch branch : condition.branches()) {
                        use(branch.test());
                        branch.statements().forEach(this::visit);
                    }
                    condition.otherwise().forEach(this::visit);
                }
                case Statement.MacroDefinition macro -> macro(macro);
                case Statement.CallBlock call -> {
                    use(call.call());
                    macro(call.caller());
                }
                case Statement.FilterBlock filter -> {
                    visitAll(filter.body());
                    use(filter.filter());
                }
                case Statement.With with -> {
                    with.targets().forEach(this::assign);
                    with.values().forEach(this::use);
                    visitAll(with.body());
                }
                case Statement.Generation generation -> macro(generation.body());
                case Statement.Autoescape block -> visitAll(block.body());
                case Statement.Data data -> {}
                case Statement.Block block -> {}
                case Statement.Break leave -> {}
                case Statement.Continue next -> {}
            }
        }

        private void macro(Statement.MacroDefinition macro) {
            macro.parameters().forEach(parameter -> wanted.remove(parameter.name()));
            macro.parameters().forEach(parameter -> use(parameter.value()));
            visitAll(macro.body());
        }
    }
}
