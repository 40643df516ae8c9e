package nibble.datasets.evaluation;

import java.util.List;
import java.util.regex.Pattern;

/** Turns pages of wikitext's raw file into texts as people write them. */
public final class WikitextDetokenizer {
    private WikitextDetokenizer() {}

    private record Replacement(Pattern pattern, String by) {}

    /** Spaces inside pairs; Python's {@code \s} and {@code [^x]} see beyond ASCII, and so must these. */
    private static final List<Replacement> PAIRS = List.of(
            pair("\\(\\s*([^\\)]*?)\\s*\\)", "($1)"),
            pair("\\[\\s*([^\\]]*?)\\s*\\]", "[$1]"),
            pair("\\{\\s*([^}]*?)\\s*\\}", "{$1}"),
            pair("\"\\s*([^\"]*?)\\s*\"", "\"$1\""),
            pair("'\\s*([^']*?)\\s*'", "'$1'"));

    private static Replacement pair(String pattern, String by) {
        return new Replacement(Pattern.compile(pattern, Pattern.UNICODE_CHARACTER_CLASS), by);
    }

    /** Returns the text of a page as people write it: the harness's steps in their order. */
    public static String of(String page) {
        String text = page.replace("s '", "s'")
                .replace(" @-@ ", "-")
                .replace(" @,@ ", ",")
                .replace(" @.@ ", ".")
                .replace(" : ", ": ")
                .replace(" ; ", "; ")
                .replace(" . ", ". ")
                .replace(" ! ", "! ")
                .replace(" ? ", "? ")
                .replace(" , ", ", ");
        for (Replacement replacement : PAIRS) {
            text = replacement.pattern().matcher(text).replaceAll(replacement.by());
        }
        return text.replace("= = = =", "====")
                .replace("= = =", "===")
                .replace("= =", "==")
                .replace(" \u00b0 ", "\u00b0")
                .replace(" \n", "\n")
                .replace("\n ", "\n")
                .replace(" N ", " 1 ")
                .replace(" 's", "'s");
    }
}
