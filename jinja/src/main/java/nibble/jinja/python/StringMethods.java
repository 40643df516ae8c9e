package nibble.jinja.python;

import java.math.BigInteger;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.Iterator;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.function.IntPredicate;
import org.jspecify.annotations.Nullable;

/** The methods of {@code str}. */
final class StringMethods {
    /** One method: the text itself, whether it is marked as safe, and the call's arguments. */
    private interface Method {
        Object call(String text, Arguments arguments);
    }

    private static final Map<String, Method> METHODS = new HashMap<>();

    static {
        METHODS.put("upper", (s, a) -> plain(a, "upper", s.toUpperCase(Locale.ROOT)));
        METHODS.put("lower", (s, a) -> plain(a, "lower", s.toLowerCase(Locale.ROOT)));
        METHODS.put(
                "casefold",
                (s, a) -> plain(
                        a,
                        "casefold",
                        s.replace("ß", "ss").toLowerCase(Locale.ROOT).replace('ς', 'σ')));
        METHODS.put("swapcase", (s, a) -> plain(a, "swapcase", CharacterCases.swap(s)));
        METHODS.put("capitalize", (s, a) -> plain(a, "capitalize", CharacterCases.capitalize(s)));
        METHODS.put("title", (s, a) -> plain(a, "title", CharacterCases.title(s)));
        METHODS.put("strip", (s, a) -> strip(s, a, true, true));
        METHODS.put("lstrip", (s, a) -> strip(s, a, true, false));
        METHODS.put("rstrip", (s, a) -> strip(s, a, false, true));
        METHODS.put("split", (s, a) -> new PyList(Splitting.split(s, a, false)));
        METHODS.put("rsplit", (s, a) -> new PyList(Splitting.split(s, a, true)));
        METHODS.put(
                "splitlines",
                (s, a) -> new PyList(
                        Splitting.lines(s, a.bind("splitlines", "keepends?").truth("keepends", false))));
        METHODS.put("partition", (s, a) -> Splitting.partition(s, a, false));
        METHODS.put("rpartition", (s, a) -> Splitting.partition(s, a, true));
        METHODS.put("join", StringMethods::join);
        METHODS.put("replace", StringMethods::replace);
        METHODS.put("startswith", (s, a) -> affix(s, a, "startswith", true));
        METHODS.put("endswith", (s, a) -> affix(s, a, "endswith", false));
        METHODS.put("removeprefix", (s, a) -> {
            String prefix = a.bind("removeprefix", "/prefix").text("prefix");
            return s.startsWith(prefix) ? s.substring(prefix.length()) : s;
        });
        METHODS.put("removesuffix", (s, a) -> {
            String suffix = a.bind("removesuffix", "/suffix").text("suffix");
            return s.endsWith(suffix) ? s.substring(0, s.length() - suffix.length()) : s;
        });
        METHODS.put("find", (s, a) -> BigInteger.valueOf(find(s, a, "find", false)));
        METHODS.put("rfind", (s, a) -> BigInteger.valueOf(find(s, a, "rfind", true)));
        METHODS.put("index", (s, a) -> found(find(s, a, "index", false)));
        METHODS.put("rindex", (s, a) -> found(find(s, a, "rindex", true)));
        METHODS.put("count", StringMethods::count);
        METHODS.put("center", (s, a) -> pad(s, a, "center", 'c'));
        METHODS.put("ljust", (s, a) -> pad(s, a, "ljust", 'l'));
        METHODS.put("rjust", (s, a) -> pad(s, a, "rjust", 'r'));
        METHODS.put("zfill", StringMethods::zeroFill);
        METHODS.put("expandtabs", StringMethods::expandTabs);
        METHODS.put("format", (s, a) -> new BraceFormat(a.positional(), new DictOf(a.named()).dict()).format(s));
        METHODS.put("format_map", (s, a) -> {
            if (!(a.bind("format_map", "/mapping").get("mapping") instanceof PyDict dict)) {
                throw PythonException.type("format_map() takes a dict");
            }
            return new BraceFormat(List.of(), dict).format(s);
        });
        METHODS.put("isspace", (s, a) -> every(s, a, Text::isSpace));
        METHODS.put("isalpha", (s, a) -> every(s, a, Character::isLetter));
        METHODS.put(
                "isdigit",
                (s, a) -> every(s, a, point -> Character.isDigit(point) || CharacterCases.isDigitForm(point)));
        METHODS.put("isdecimal", (s, a) -> every(s, a, Character::isDigit));
        METHODS.put("isnumeric", (s, a) -> every(s, a, CharacterCases::isNumeric));
        METHODS.put(
                "isalnum",
                (s, a) -> every(s, a, point -> Character.isLetter(point) || CharacterCases.isNumeric(point)));
        METHODS.put("isascii", (s, a) -> s.isEmpty() || every(s, a, point -> point < 128));
        METHODS.put("isprintable", (s, a) -> s.isEmpty() || every(s, a, Repr::isPrintable));
        METHODS.put("isidentifier", (s, a) -> isIdentifier(s));
        METHODS.put("islower", (s, a) -> CharacterCases.isLower(s));
        METHODS.put("isupper", (s, a) -> CharacterCases.isUpper(s));
        METHODS.put("istitle", (s, a) -> CharacterCases.isTitle(s));
        METHODS.put("encode", (s, a) -> {
            throw PythonException.type("bytes are not supported");
        });
    }

    /** A dict of a call's keyword arguments. */
    private record DictOf(Map<String, Object> named) {
        PyDict dict() {
            PyDict dict = new PyDict();
            named.forEach(dict::put);
            return dict;
        }
    }

    private StringMethods() {}

    /** A method bound to a text; null if there is none of this name. */
    static @Nullable PyCallable of(Object self, String name) {
        Method method = METHODS.get(name);
        if (method == null) {
            return null;
        }
        if (self instanceof Markup markup) {
            return new PyCallable.Function(
                    name, arguments -> marked(name, method.call(markup.text(), escaped(name, arguments))));
        }
        return new PyCallable.Function(name, arguments -> method.call((String) self, arguments));
    }

    /** The arguments of which the result of a marked text's method is made. */
    private static Arguments escaped(String name, Arguments arguments) {
        return switch (name) {
            case "join" -> {
                List<Object> items = new ArrayList<>();
                arguments
                        .positional()
                        .forEach(list -> Values.iterate(list).forEachRemaining(item -> items.add(Markup.escape(item))));
                yield Arguments.of(new PyList(items));
            }
            case "replace", "ljust", "rjust", "center" -> {
                List<Object> positional = new ArrayList<>(arguments.positional());
                if (positional.size() > 1) {
                    positional.set(1, Markup.escape(positional.get(1)));
                }
                yield new Arguments(positional, arguments.named());
            }
            case "format", "format_map" -> {
                // An escaped text stays as it is; formatted numbers hold nothing to escape.
                List<Object> positional = new ArrayList<>();
                arguments
                        .positional()
                        .forEach(value -> positional.add(Values.isText(value) ? Markup.escape(value) : value));
                Map<String, Object> named = new java.util.LinkedHashMap<>();
                arguments
                        .named()
                        .forEach((key, value) -> named.put(key, Values.isText(value) ? Markup.escape(value) : value));
                yield new Arguments(positional, named);
            }
            default -> arguments;
        };
    }

    private static Object marked(String name, Object result) {
        return switch (result) {
            case String text -> new Markup(text);
            case PyList list ->
                new PyList(list.items().stream().map(item -> marked(name, item)).toList());
            case PyTuple tuple ->
                new PyTuple(
                        tuple.items().stream().map(item -> marked(name, item)).toList());
            default -> result;
        };
    }

    private static String plain(Arguments arguments, String name, String result) {
        arguments.bind(name);
        Budget.characters(result.length());
        return result;
    }

    private static String strip(String text, Arguments arguments, boolean left, boolean right) {
        String characters = arguments.bind("strip", "/chars?").textOrNone("chars");
        return stripped(text, characters, left, right);
    }

    /** Without the characters at its ends; null for spaces. */
    static String stripped(String text, @Nullable String characters, boolean left, boolean right) {
        if (characters == null) {
            String half = left ? Text.stripLeft(text) : text;
            return right ? Text.stripRight(half) : half;
        }
        int from = 0;
        int to = text.length();
        Budget.steps(text.length() / 16 + characters.length());
        while (left && from < to && characters.indexOf(text.codePointAt(from)) >= 0) {
            Budget.look(characters.length());
            from += Character.charCount(text.codePointAt(from));
        }
        while (right && from < to && characters.indexOf(text.codePointBefore(to)) >= 0) {
            Budget.look(characters.length());
            to -= Character.charCount(text.codePointBefore(to));
        }
        return text.substring(from, to);
    }

    private static Object join(String between, Arguments arguments) {
        Object items = arguments.bind("join", "/iterable").get("iterable", None.NONE);
        List<String> texts = new ArrayList<>();
        boolean marked = false;
        Iterator<Object> from = Values.iterate(items);
        while (from.hasNext()) {
            Object item = from.next();
            if (!Values.isText(item)) {
                throw PythonException.type("sequence item " + texts.size() + ": expected str instance, "
                        + Values.typeName(item) + " found");
            }
            texts.add(item.toString());
        }
        return Text.join(between, texts);
    }

    private static String replace(String text, Arguments arguments) {
        Arguments.Bound bound = arguments.bind("replace", "/old", "/new", "/count?");
        return replaced(text, bound.text("old"), bound.text("new"), bound.integer("count", -1));
    }

    /** Replaces the first {@code count} places, or all of them if it is negative. */
    static String replaced(String text, String old, String fresh, int count) {
        StringBuilder out = new StringBuilder();
        int at = 0;
        Budget.look(text.length());
        for (int done = 0; count < 0 || done < count; done++) {
            int next = text.indexOf(old, at);
            if (next < 0 || old.isEmpty() && at > text.length()) {
                break;
            }
            Budget.characters(next - at + (long) fresh.length() + 1);
            out.append(text, at, next).append(fresh);
            at = next + old.length();
            if (old.isEmpty()) {
                if (at == text.length()) {
                    return out.toString();
                }
                out.appendCodePoint(text.codePointAt(at));
                at += Character.charCount(text.codePointAt(at));
            }
        }
        return out.append(text, Math.min(at, text.length()), text.length()).toString();
    }

    private static Subscript.Slice range(String text, Arguments.Bound bound) {
        return Subscript.Slice.of(
                Text.length(text), bound.get("start", None.NONE), bound.get("end", None.NONE), None.NONE);
    }

    private static boolean affix(String text, Arguments arguments, String name, boolean atStart) {
        Arguments.Bound bound = arguments.bind(name, "/affix", "/start?", "/end?");
        Subscript.Slice range = range(text, bound);
        Object affix = bound.get("affix", None.NONE);
        List<Object> choices = affix instanceof PyTuple tuple ? tuple.items() : List.of(affix);
        for (Object choice : choices) {
            if (!Values.isText(choice)) {
                throw PythonException.type(
                        name + " first arg must be str or a tuple of str, not " + Values.typeName(choice));
            }
            Object start = bound.get("start", None.NONE);
            boolean within = start == None.NONE || Numbers.index(start) <= Text.length(text);
            String part = Text.part(text, range.start(), range.stop());
            if (within
                    && range.start() <= range.stop()
                    && (atStart ? part.startsWith(choice.toString()) : part.endsWith(choice.toString()))) {
                return true;
            }
        }
        return false;
    }

    private static int find(String text, Arguments arguments, String name, boolean last) {
        Arguments.Bound bound = arguments.bind(name, "/sub", "/start?", "/end?");
        Subscript.Slice range = range(text, bound);
        Object start = bound.get("start", None.NONE);
        if (range.start() > range.stop() || start != None.NONE && Numbers.index(start) > Text.length(text)) {
            return -1;
        }
        String part = Text.part(text, range.start(), range.stop());
        int at = last ? part.lastIndexOf(bound.text("sub")) : part.indexOf(bound.text("sub"));
        return at < 0 ? -1 : range.start() + Text.position(part, at);
    }

    private static BigInteger found(int position) {
        if (position < 0) {
            throw PythonException.value("substring not found");
        }
        return BigInteger.valueOf(position);
    }

    private static BigInteger count(String text, Arguments arguments) {
        Arguments.Bound bound = arguments.bind("count", "/sub", "/start?", "/end?");
        Subscript.Slice range = range(text, bound);
        String sub = bound.text("sub");
        Object start = bound.get("start", None.NONE);
        if (range.start() > range.stop() || start != None.NONE && Numbers.index(start) > Text.length(text)) {
            return BigInteger.ZERO;
        }
        String part = Text.part(text, range.start(), range.stop());
        if (sub.isEmpty()) {
            return BigInteger.valueOf(Text.length(part) + 1L);
        }
        long count = 0;
        for (int at = part.indexOf(sub); at >= 0; at = part.indexOf(sub, at + sub.length())) {
            count++;
        }
        return BigInteger.valueOf(count);
    }

    private static String pad(String text, Arguments arguments, String name, char side) {
        Arguments.Bound bound = arguments.bind(name, "/width", "/fillchar?");
        String fill = bound.get("fillchar") == null ? " " : bound.text("fillchar");
        if (Text.length(fill) != 1) {
            throw PythonException.type("The fill character must be exactly one character long");
        }
        return padded(text, bound.integer("width", 0), fill, side);
    }

    /** Fills up to a width: side l for a text on the left, r for one on the right, c for one between. */
    static String padded(String text, int width, String fill, char side) {
        int more = width - Text.length(text);
        if (more <= 0) {
            return text;
        }
        // Python gives an odd character to the left where the width is odd.
        int left = side == 'l' ? 0 : side == 'r' ? more : more / 2 + (more & width & 1);
        return Text.repeat(fill, left) + text + Text.repeat(fill, more - left);
    }

    private static String zeroFill(String text, Arguments arguments) {
        int width = arguments.bind("zfill", "/width").integer("width", 0);
        boolean signed = text.startsWith("+") || text.startsWith("-");
        int more = width - Text.length(text);
        return more <= 0
                ? text
                : (signed ? text.substring(0, 1) : "") + Text.repeat("0", more) + text.substring(signed ? 1 : 0);
    }

    private static String expandTabs(String text, Arguments arguments) {
        int size = arguments.bind("expandtabs", "tabsize?").integer("tabsize", 8);
        StringBuilder out = new StringBuilder();
        int column = 0;
        for (int point : text.codePoints().toArray()) {
            if (point == '\t') {
                int blanks = size <= 0 ? 0 : size - column % size;
                out.append(Text.repeat(" ", blanks));
                column += blanks;
            } else {
                out.appendCodePoint(point);
                column = point == '\n' || point == '\r' ? 0 : column + 1;
            }
        }
        Budget.characters(out.length());
        return out.toString();
    }

    private static boolean every(String text, Arguments arguments, IntPredicate predicate) {
        arguments.bind("is");
        Budget.look(text.length());
        return !text.isEmpty() && text.codePoints().allMatch(predicate);
    }

    private static boolean isIdentifier(String text) {
        if (text.isEmpty()) {
            return false;
        }
        int first = text.codePointAt(0);
        return (first == '_' || Character.isUnicodeIdentifierStart(first))
                && text.codePoints()
                        .skip(1)
                        .allMatch(point ->
                                Character.isUnicodeIdentifierPart(point) && !Character.isIdentifierIgnorable(point));
    }
}
