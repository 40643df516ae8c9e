package nibble.eval.harness;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import nibble.datasets.PythonText;

/** Writes named things alike: {@code per: X $ loc: Y}, whatever words a response has for their kinds. */
final class SpanFormat {
    /** Words for kinds, in the order in which they are replaced. */
    private static final List<List<String>> KINDS = List.of(
            List.of("person", "PER"),
            List.of("location", "LOC"),
            List.of("organization", "ORG"),
            List.of("counties", "LOC"),
            List.of("places", "LOC"),
            List.of("people", "PER"),
            List.of("persons", "PER"),
            List.of("company", "ORG"),
            List.of("country", "LOC"),
            List.of("continent", "LOC"),
            List.of("time", "DATE"),
            List.of("date", "DATE"),
            List.of("per", "PER"),
            List.of("loc", "LOC"),
            List.of("org", "ORG"));

    private static final Pattern SPAN =
            Pattern.compile("\\b(PER|LOC|ORG|DATE):\\s*([^$]+)", Pattern.UNICODE_CHARACTER_CLASS);

    private SpanFormat() {}

    static String of(String response) {
        String text = response.toLowerCase(Locale.ROOT);
        for (List<String> kind : KINDS) {
            text = Pattern.compile("\\b" + kind.getFirst() + "\\s*:", Pattern.UNICODE_CHARACTER_CLASS)
                    .matcher(text)
                    .replaceAll(kind.getLast() + ":");
        }
        text = text.replace("$$", "$");
        int end = text.length();
        while (end > 0 && text.charAt(end - 1) == '$') {
            end--;
        }
        List<String> spans = new ArrayList<>();
        Matcher matcher = SPAN.matcher(PythonText.strip(text.substring(0, end).replace("\n", "$")));
        while (matcher.find()) {
            String kind = matcher.group(1).toLowerCase(Locale.ROOT);
            Arrays.stream(matcher.group(2).split(",", -1))
                    .map(PythonText::strip)
                    .filter(one -> !one.equalsIgnoreCase("none"))
                    .forEach(one -> spans.add(kind + ": " + one));
        }
        return String.join(" $ ", spans);
    }
}
