package nibble.jinja;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import nibble.jinja.python.Arguments;
import nibble.jinja.python.Arithmetic;
import nibble.jinja.python.Attributes;
import nibble.jinja.python.Budget;
import nibble.jinja.python.PyCallable;
import nibble.jinja.python.PyDict;
import nibble.jinja.python.PyList;
import nibble.jinja.python.PyTuple;
import nibble.jinja.python.PythonException;
import nibble.jinja.python.Repr;
import nibble.jinja.python.Subscript;
import nibble.jinja.python.Text;
import nibble.jinja.python.Undefined;
import nibble.jinja.python.Values;
import nibble.jinja.syntax.Expression;
import org.jspecify.annotations.Nullable;

/** Finds the values of expressions. */
final class Evaluator {
    private Evaluator() {}

    /** @throws PythonException as Python would raise it */
    static Object value(Expression expression, Scope scope) {
        Budget.step();
        return switch (expression) {
            case Expression.Literal literal -> literal.value();
            case Expression.Name name -> scope.get(name.name());
            case Expression.ListOf list -> new PyList(values(list.items(), scope));
            case Expression.TupleOf tuple -> new PyTuple(values(tuple.items(), scope));
            case Expression.DictOf dict -> {
                PyDict made = new PyDict();
                for (int i = 0; i < dict.keys().size(); i++) {
                    made.put(
                            value(dict.keys().get(i), scope),
                            value(dict.values().get(i), scope));
                }
                yield made;
            }
            case Expression.Dot dot -> Attributes.dot(value(dot.of(), scope), dot.name());
            case Expression.Bracket bracket ->
                Attributes.bracket(value(bracket.of(), scope), value(bracket.key(), scope));
            case Expression.Slice slice ->
                Subscript.slice(
                        value(slice.of(), scope),
                        value(slice.start(), scope),
                        value(slice.stop(), scope),
                        value(slice.step(), scope));
            case Expression.Call call -> call(value(call.of(), scope), arguments(call.arguments(), scope));
            case Expression.Filter filter -> filter(filter, null, scope);
            case Expression.Test test ->
                Tests.apply(test.name(), value(test.of(), scope), arguments(test.arguments(), scope));
            case Expression.Unary unary -> {
                Object of = value(unary.of(), scope);
                yield switch (unary.operator()) {
                    case "not" -> !Values.truth(of);
                    case "-" -> Arithmetic.negate(of);
                    default -> Arithmetic.positive(of);
                };
            }
            case Expression.Binary binary -> binary(binary, scope);
            case Expression.Concat concat ->
                Text.join(
                        "",
                        values(concat.parts(), scope).stream().map(Repr::str).toList());
            case Expression.Compare compare -> compare(compare, scope);
            case Expression.Condition condition -> {
                if (Values.truth(value(condition.test(), scope))) {
                    yield value(condition.then(), scope);
                }
                yield condition.otherwise() != null ? value(condition.otherwise(), scope) : Undefined.ofCondition();
            }
        };
    }

    private static List<Object> values(List<Expression> expressions, Scope scope) {
        List<Object> values = new ArrayList<>(expressions.size());
        for (Expression expression : expressions) {
            values.add(value(expression, scope));
        }
        return values;
    }

    private static Object binary(Expression.Binary binary, Scope scope) {
        Object left = value(binary.left(), scope);
        return switch (binary.operator()) {
            case "and" -> Values.truth(left) ? value(binary.right(), scope) : left;
            case "or" -> Values.truth(left) ? left : value(binary.right(), scope);
            default -> Arithmetic.apply(binary.operator(), left, value(binary.right(), scope));
        };
    }

    private static Object compare(Expression.Compare compare, Scope scope) {
        Object left = value(compare.operands().getFirst(), scope);
        for (int i = 0; i < compare.operators().size(); i++) {
            Object right = value(compare.operands().get(i + 1), scope);
            if (!Values.compare(compare.operators().get(i), left, right)) {
                return false;
            }
            left = right;
        }
        return true;
    }

    /** A filter of its value, or of a block's text. */
    static Object filter(Expression.Filter filter, @Nullable Object text, Scope scope) {
        Object of = switch (filter.of()) {
            case null -> text == null ? "" : text;
            case Expression.Filter inner -> filter(inner, text, scope);
            case Expression other -> value(other, scope);
        };
        return Filters.apply(filter.name(), of, arguments(filter.arguments(), scope));
    }

    static Arguments arguments(Expression.CallArguments arguments, Scope scope) {
        if (arguments == Expression.CallArguments.NONE) {
            return Arguments.NONE;
        }
        List<Object> positional = values(arguments.positional(), scope);
        Map<String, Object> named = new LinkedHashMap<>();
        for (Expression.Keyword keyword : arguments.keywords()) {
            named.put(keyword.name(), value(keyword.value(), scope));
        }
        if (arguments.star() != null) {
            positional.addAll(Values.list(value(arguments.star(), scope)));
        }
        if (arguments.stars() != null) {
            if (!(value(arguments.stars(), scope) instanceof PyDict dict)) {
                throw new PythonException(PythonException.Kind.TYPE, "argument after ** must be a mapping");
            }
            for (PyDict.Entry entry : dict.entries()) {
                if (!Values.isText(entry.key())) {
                    throw new PythonException(PythonException.Kind.TYPE, "keywords must be strings");
                }
                if (named.put(entry.key().toString(), entry.value()) != null) {
                    throw new PythonException(
                            PythonException.Kind.TYPE,
                            "got multiple values for keyword argument '" + entry.key() + "'");
                }
            }
        }
        return new Arguments(positional, named);
    }

    static Object call(Object function, Arguments arguments) {
        if (function instanceof PyCallable callable) {
            return callable.call(arguments);
        }
        if (function instanceof Undefined undefined) {
            throw undefined.error();
        }
        throw new PythonException(
                PythonException.Kind.TYPE, "'" + Values.typeName(function) + "' object is not callable");
    }
}
