package nibble.jinja;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.regex.PatternSyntaxException;
import nibble.jinja.python.PythonException;

/** Runs a regular expression as Python's {@code re} does on texts: its syntax is put into Java's. */
public final class PythonRegex {
    private static final Pattern QUANTIFIER = Pattern.compile("\\{(\\d+(,\\d*)?|,\\d+)\\}");

    private final Pattern pattern;
    private final Map<String, String> names = new LinkedHashMap<>();

    private PythonRegex(String source) {
        try {
            this.pattern = Pattern.compile(translated(source), Pattern.UNICODE_CHARACTER_CLASS | Pattern.UNIX_LINES);
        } catch (PatternSyntaxException e) {
            throw new PythonException(
                    PythonException.Kind.VALUE, "regular expression " + source + ": " + e.getDescription());
        }
    }

    /**
     * Reads an expression.
     *
     * @throws PythonException of kind VALUE if it is none
     */
    public static PythonRegex of(String source) {
        return new PythonRegex(source);
    }

    private String translated(String source) {
        StringBuilder to = new StringBuilder();
        boolean inClass = false;
        for (int i = 0; i < source.length(); i++) {
            char c = source.charAt(i);
            if (c == '\\' && i + 1 < source.length()) {
                char next = source.charAt(++i);
                to.append(next == 'Z' && !inClass ? "\\z" : "\\" + next);
            } else if (inClass) {
                // Java has unions and intersections of classes there.
                to.append(c == '[' || c == '&' ? "\\" + c : String.valueOf(c));
                inClass = c != ']';
            } else if (c == '[') {
                inClass = true;
                to.append(c);
                if (source.startsWith("^", i + 1)) {
                    to.append('^');
                    i++;
                }
                if (source.startsWith("]", i + 1)) {
                    to.append("\\]");
                    i++;
                }
            } else if (c == '{') {
                Matcher quantifier = QUANTIFIER.matcher(source).region(i, source.length());
                to.append(quantifier.lookingAt() ? source.startsWith("{,", i) ? "{0" : "{" : "\\{");
            } else if (source.startsWith("(?P", i)) {
                i = named(source, i, to);
            } else {
                to.append(c);
            }
        }
        return to.toString();
    }

    /** Java's names of groups are of letters and digits alone. */
    private int named(String source, int at, StringBuilder to) {
        boolean defines = source.startsWith("(?P<", at);
        int end = source.indexOf(defines ? '>' : ')', at);
        if (end < 0 || !defines && !source.startsWith("(?P=", at)) {
            throw new PythonException(PythonException.Kind.VALUE, "regular expression " + source + ": wrong group");
        }
        String name = source.substring(at + 4, end);
        String made = names.computeIfAbsent(name, _ -> "n" + names.size() + "x");
        to.append(defines ? "(?<" + made + ">" : "\\k<" + made + ">");
        return end;
    }

    /** Returns {@code re.findall}: for each match its groups, or the whole of it where the expression has none. */
    public List<List<String>> findAll(String text) {
        List<List<String>> found = new ArrayList<>();
        Matcher matcher = pattern.matcher(text);
        while (matcher.find()) {
            List<String> groups = new ArrayList<>();
            for (int group = matcher.groupCount() == 0 ? 0 : 1; group <= matcher.groupCount(); group++) {
                String value = matcher.group(group);
                groups.add(value == null ? "" : value);
            }
            found.add(groups);
        }
        return found;
    }

    /** Returns {@code re.sub}; 0 replaces all. */
    public String replace(String text, String by, int count) {
        StringBuilder to = new StringBuilder();
        Matcher matcher = pattern.matcher(text);
        int done = 0;
        int end = 0;
        while ((count == 0 || done < count) && matcher.find()) {
            to.append(text, end, matcher.start());
            expand(matcher, by, to);
            end = matcher.end();
            done++;
        }
        return to.append(text, end, text.length()).toString();
    }

    private void expand(Matcher matcher, String by, StringBuilder to) {
        for (int i = 0; i < by.length(); i++) {
            char c = by.charAt(i);
            if (c != '\\' || i + 1 == by.length()) {
                to.append(c);
                continue;
            }
            char next = by.charAt(++i);
            if (next == 'g' && by.startsWith("<", i + 1) && by.indexOf('>', i) > 0) {
                int close = by.indexOf('>', i);
                to.append(group(matcher, by.substring(i + 2, close)));
                i = close;
            } else if (next >= '1' && next <= '9') {
                to.append(group(matcher, String.valueOf(next)));
            } else {
                to.append(
                        switch (next) {
                            case 'n' -> "\n";
                            case 't' -> "\t";
                            case 'r' -> "\r";
                            case '\\' -> "\\";
                            default -> "\\" + next;
                        });
            }
        }
    }

    private String group(Matcher matcher, String name) {
        String made = names.get(name);
        try {
            String value = made != null ? matcher.group(made) : matcher.group(Integer.parseInt(name));
            return value == null ? "" : value;
        } catch (NumberFormatException | IndexOutOfBoundsException e) {
            throw new PythonException(PythonException.Kind.VALUE, "no group " + name + " in " + pattern);
        }
    }
}
