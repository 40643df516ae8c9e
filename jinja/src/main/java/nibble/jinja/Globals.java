package nibble.jinja;

import java.math.BigInteger;
import java.time.ZonedDateTime;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Supplier;
import nibble.jinja.python.Arguments;
import nibble.jinja.python.PyCallable;
import nibble.jinja.python.PyDict;
import nibble.jinja.python.PyObject;
import nibble.jinja.python.PyRange;
import nibble.jinja.python.PythonException;
import nibble.jinja.python.Repr;
import nibble.jinja.python.Values;
import org.jspecify.annotations.Nullable;

/** The functions that every template has. Jinja2's lipsum, which is random, is not among them. */
final class Globals {
    /** The sandbox's bound of {@code range}. */
    private static final int MAX_RANGE = 100_000;

    private Globals() {}

    static Map<String, Object> all(Supplier<ZonedDateTime> clock) {
        Map<String, Object> all = new HashMap<>();
        add(all, "range", Globals::range);
        add(all, "dict", Globals::dict);
        add(all, "namespace", arguments -> new Namespace(dict(arguments)));
        add(all, "cycler", arguments -> {
            if (arguments.positional().isEmpty() || !arguments.named().isEmpty()) {
                throw new PythonException(PythonException.Kind.RUNTIME, "at least one item has to be provided");
            }
            return new Cycler(arguments.positional());
        });
        add(
                all,
                "joiner",
                arguments -> new Joiner(arguments.bind("joiner", "sep?").get("sep", ", ")));
        add(all, "raise_exception", arguments -> {
            Object message = arguments.bind("raise_exception", "message").get("message", "");
            throw new PythonException(PythonException.Kind.RAISED, Repr.str(message));
        });
        add(
                all,
                "strftime_now",
                arguments -> Strftime.format(
                        clock.get(), arguments.bind("strftime_now", "format").text("format")));
        return all;
    }

    private static void add(Map<String, Object> all, String name, PyCallable body) {
        all.put(name, new PyCallable.Function(name, body));
    }

    private static Object range(Arguments arguments) {
        Arguments.Bound bound = arguments.bind("range", "/start", "/stop?", "/step?");
        BigInteger first = bound.whole("start", BigInteger.ZERO);
        boolean one = bound.get("stop") == null;
        long start = one ? 0 : bounded(first);
        long stop = one ? bounded(first) : bounded(bound.whole("stop", BigInteger.ZERO));
        long step = bounded(bound.whole("step", BigInteger.ONE));
        if (step == 0) {
            throw new PythonException(PythonException.Kind.VALUE, "range() arg 3 must not be zero");
        }
        PyRange range = new PyRange(start, stop, step);
        if (range.length() > MAX_RANGE) {
            throw new PythonException(
                    PythonException.Kind.OVERFLOW,
                    "Range too big. The sandbox blocks ranges larger than MAX_RANGE (" + MAX_RANGE + ")");
        }
        return range;
    }

    private static long bounded(BigInteger number) {
        return number.max(BigInteger.ONE.shiftLeft(60).negate())
                .min(BigInteger.ONE.shiftLeft(60))
                .longValueExact();
    }

    private static PyDict dict(Arguments arguments) {
        PyDict dict = new PyDict();
        if (arguments.positional().size() > 1) {
            throw new PythonException(PythonException.Kind.TYPE, "dict expected at most 1 argument");
        }
        for (Object from : arguments.positional()) {
            if (from instanceof PyDict other) {
                other.entries().forEach(entry -> dict.put(entry.key(), entry.value()));
                continue;
            }
            Values.iterate(from).forEachRemaining(pair -> {
                List<Object> both = Values.list(pair);
                if (both.size() != 2) {
                    throw new PythonException(
                            PythonException.Kind.VALUE, "dictionary update sequence element must have length 2");
                }
                dict.put(both.get(0), both.get(1));
            });
        }
        arguments.named().forEach(dict::put);
        return dict;
    }

    /** Gives nothing when first called, then what stands between things. */
    private static final class Joiner implements PyCallable, PyObject {
        private final Object separator;
        private boolean used;

        Joiner(Object separator) {
            this.separator = separator;
        }

        @Override
        public Object call(Arguments arguments) {
            arguments.bind("joiner");
            Object text = used ? separator : "";
            used = true;
            return text;
        }

        @Override
        public @Nullable Object attribute(String name) {
            return name.equals("sep") ? separator : name.equals("used") ? (Object) used : null;
        }

        @Override
        public String text() {
            return "<Joiner>";
        }

        @Override
        public String typeName() {
            return "Joiner";
        }
    }
}
