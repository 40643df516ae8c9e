package nibble.jinja;

import java.math.BigDecimal;
import java.math.BigInteger;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import nibble.jinja.python.Arguments;
import nibble.jinja.python.Arithmetic;
import nibble.jinja.python.Attributes;
import nibble.jinja.python.Json;
import nibble.jinja.python.None;
import nibble.jinja.python.Numbers;
import nibble.jinja.python.PercentFormat;
import nibble.jinja.python.PyDict;
import nibble.jinja.python.PyTuple;
import nibble.jinja.python.PythonException;
import nibble.jinja.python.Repr;
import nibble.jinja.python.Undefined;
import nibble.jinja.python.Values;

/** Filters of numbers and of values of any kind. */
final class ValueFilters {
    /** Widest line that pprint leaves alone. */
    private static final int LINE = 80;

    private ValueFilters() {}

    static void add(Map<String, Filters.Filter> all) {
        all.put("default", ValueFilters::otherwise);
        all.put("d", ValueFilters::otherwise);
        all.put("tojson", Json::dumps);
        all.put("int", ValueFilters::toInt);
        all.put("float", (value, arguments) -> {
            Object otherwise = arguments.bind("float", "default?").get("default", 0.0);
            try {
                return Numbers.toFloat(value);
            } catch (PythonException e) {
                return orThrow(e, otherwise, false);
            }
        });
        all.put("abs", (value, arguments) -> {
            arguments.bind("abs");
            Object same = Arithmetic.positive(value);
            return same instanceof Double number
                    ? (Object) Math.abs(number)
                    : Values.compare("<", same, BigInteger.ZERO) ? Arithmetic.negate(same) : same;
        });
        all.put("round", ValueFilters::round);
        all.put("filesizeformat", ValueFilters::fileSize);
        all.put("pprint", ValueFilters::prettyPrint);
        all.put("attr", (value, arguments) -> {
            Object name = arguments.bind("attr", "name").get("name", "");
            if (!Values.isText(name)) {
                throw new PythonException(PythonException.Kind.TYPE, "attribute name must be string");
            }
            Object found = Attributes.attribute(value, name.toString());
            return found != null ? found : Undefined.because("no attribute " + Repr.repr(name));
        });
    }

    private static Object otherwise(Object value, Arguments arguments) {
        Arguments.Bound bound = arguments.bind("default", "default_value?", "boolean?");
        boolean missing = value instanceof Undefined || bound.truth("boolean", false) && !Values.truth(value);
        return missing ? bound.get("default_value", "") : value;
    }

    /** Takes another value for what Python would not convert. */
    private static Object orThrow(PythonException error, Object otherwise, boolean alsoOverflow) {
        boolean caught = error.kind() == PythonException.Kind.TYPE
                || error.kind() == PythonException.Kind.VALUE
                || alsoOverflow && error.kind() == PythonException.Kind.OVERFLOW;
        if (caught) {
            return otherwise;
        }
        throw error;
    }

    private static Object toInt(Object value, Arguments arguments) {
        Arguments.Bound bound = arguments.bind("int", "default?", "base?");
        Object otherwise = bound.get("default", BigInteger.ZERO);
        try {
            return Values.isText(value)
                    ? Numbers.parseInt(value.toString(), bound.integer("base", 10))
                    : Numbers.toInt(value);
        } catch (PythonException e) {
            orThrow(e, otherwise, false);
        }
        try {
            return Numbers.toInt(Numbers.toFloat(value));
        } catch (PythonException e) {
            return orThrow(e, otherwise, true);
        }
    }

    private static Object round(Object value, Arguments arguments) {
        Arguments.Bound bound = arguments.bind("round", "precision?", "method?");
        Object method = bound.get("method", "common");
        if (!List.of("common", "ceil", "floor").contains(Repr.str(method))) {
            throw Filters.wrong("method must be common, ceil or floor");
        }
        if (method.equals("common")) {
            Arithmetic.positive(value);
            Object precision = bound.get("precision", BigInteger.ZERO);
            return precision == None.NONE
                    ? Numbers.toInt(Numbers.round(value, BigInteger.ZERO))
                    : Numbers.round(value, bound.whole("precision", BigInteger.ZERO));
        }
        Object scale = Arithmetic.apply("**", BigInteger.TEN, bound.whole("precision", BigInteger.ZERO));
        Object scaled = Arithmetic.apply("*", value, scale);
        Object whole = scaled;
        if (scaled instanceof Double number) {
            // An infinity or no number raises here, as math.floor does.
            Numbers.toInt(number);
            whole = new BigDecimal(method.equals("ceil") ? Math.ceil(number) : Math.floor(number)).toBigInteger();
        } else {
            Arithmetic.positive(scaled);
        }
        return Arithmetic.apply("/", whole, scale);
    }

    private static Object fileSize(Object value, Arguments arguments) {
        boolean binary = arguments.bind("filesizeformat", "binary?").truth("binary", false);
        double bytes = Numbers.toFloat(value);
        double base = binary ? 1024 : 1000;
        if (bytes == 1) {
            return "1 Byte";
        }
        if (bytes < base) {
            return Numbers.toInt(bytes) + " Bytes";
        }
        double unit = base * base;
        String letters = "kMGTPEZY";
        int i = 0;
        while (i < letters.length() - 1 && !(bytes < unit)) {
            unit *= base;
            i++;
        }
        String letter = binary && i == 0 ? "K" : letters.substring(i, i + 1);
        return PercentFormat.format("%.1f ", PyTuple.of(base * bytes / unit), false) + letter + (binary ? "iB" : "B");
    }

    private static Object prettyPrint(Object value, Arguments arguments) {
        arguments.bind("pprint");
        String text = Repr.repr(sorted(value));
        if (text.length() > LINE && !(value instanceof BigInteger || value instanceof Double)) {
            throw new PythonException(
                    PythonException.Kind.LIMIT, "pprint of a value that does not fit on a line is not supported");
        }
        return text;
    }

    /** The same with all dicts in the order of their keys. */
    private static Object sorted(Object value) {
        if (!(value instanceof PyDict dict)) {
            return value;
        }
        List<PyDict.Entry> entries = new ArrayList<>(dict.entries());
        entries.sort((a, b) -> Values.order(a.key(), b.key()));
        PyDict sorted = new PyDict();
        entries.forEach(entry -> sorted.put(entry.key(), sorted(entry.value())));
        return sorted;
    }
}
