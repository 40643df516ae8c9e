package nibble.jinja;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import nibble.jinja.python.Arguments;
import nibble.jinja.python.None;
import nibble.jinja.python.PyCallable;
import nibble.jinja.python.PyDict;
import nibble.jinja.python.PyObject;
import nibble.jinja.python.PyTuple;
import nibble.jinja.python.PythonException;
import nibble.jinja.python.Repr;
import nibble.jinja.python.Undefined;
import nibble.jinja.syntax.Statement;
import org.jspecify.annotations.Nullable;

/**
 * A macro, or what a call block hands over as {@code caller}.
 *
 * @param definition what it prints
 * @param renderer who runs it
 * @param outside where it was defined
 * @param anonymous whether it is a call block's
 */
record Macro(Statement.MacroDefinition definition, Renderer renderer, Scope outside, boolean anonymous)
        implements PyCallable, PyObject {
    @Override
    public Object call(Arguments arguments) {
        List<Statement.Parameter> parameters = definition.parameters();
        Set<String> uses = definition.special();
        Map<String, Object> named = new LinkedHashMap<>(arguments.named());
        int given = Math.min(arguments.positional().size(), parameters.size());
        List<@Nullable Object> values = new ArrayList<>(arguments.positional().subList(0, given));
        boolean callerGiven = given == parameters.size() && has("caller");
        for (Statement.Parameter parameter : parameters.subList(given, parameters.size())) {
            callerGiven |= parameter.name().equals("caller");
            values.add(named.remove(parameter.name()));
        }
        Map<String, Object> special = new LinkedHashMap<>();
        if (uses.contains("caller") && !callerGiven) {
            Object caller = named.remove("caller");
            special.put(
                    "caller", caller == null || caller == None.NONE ? Undefined.because("No caller defined") : caller);
        }
        if (uses.contains("kwargs") && !has("kwargs")) {
            PyDict rest = new PyDict();
            named.forEach(rest::put);
            special.put("kwargs", rest);
        } else if (!named.isEmpty()) {
            throw new PythonException(
                    PythonException.Kind.TYPE,
                    "macro " + Repr.repr(definition.name()) + " takes no keyword argument "
                            + Repr.repr(named.keySet().iterator().next()));
        }
        if (uses.contains("varargs") && !has("varargs")) {
            special.put(
                    "varargs",
                    new PyTuple(List.copyOf(arguments
                            .positional()
                            .subList(given, arguments.positional().size()))));
        } else if (arguments.positional().size() > parameters.size()) {
            throw new PythonException(
                    PythonException.Kind.TYPE,
                    "macro " + Repr.repr(definition.name()) + " takes not more than " + parameters.size()
                            + " argument(s)");
        }
        return renderer.macro(definition, values, special, outside);
    }

    private boolean has(String parameter) {
        return definition.parameters().stream().anyMatch(one -> one.name().equals(parameter));
    }

    @Override
    public @Nullable Object attribute(String name) {
        return switch (name) {
            case "name" -> anonymous ? None.NONE : definition.name();
            case "arguments" ->
                new PyTuple(List.copyOf(definition.parameters().stream()
                        .map(Statement.Parameter::name)
                        .toList()));
            case "catch_kwargs" -> definition.special().contains("kwargs");
            case "catch_varargs" -> definition.special().contains("varargs");
            case "caller" -> definition.special().contains("caller");
            case "explicit_caller" -> has("caller");
            default -> null;
        };
    }

    @Override
    public String text() {
        return anonymous ? "<Macro anonymous>" : "<Macro " + Repr.repr(definition.name()) + ">";
    }

    @Override
    public String typeName() {
        return "Macro";
    }
}
