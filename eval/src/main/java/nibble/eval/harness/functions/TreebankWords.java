package nibble.eval.harness.functions;

import java.util.List;
import java.util.Map;
import java.util.regex.Pattern;

/** Cuts a text into words and signs by the rules of the Penn Treebank, as far as they bear on words in capitals. */
final class TreebankWords {
    private static final List<Map.Entry<Pattern, String>> RULES = List.of(
            rule("([«“‘„]|[`]+)", " $1 "),
            rule("^\"", " `` "),
            rule("([ (\\[{<])(\"|'{2})", "$1 `` "),
            rule("(?i)(')(?!re|ve|ll|m|t|s|d|n)(\\w)\\b", "$1 $2"),
            rule("([:,])([^\\d])", " $1 $2"),
            rule("([:,])$", " $1 "),
            rule("\\.{2,}", " $0 "),
            rule("[;@#$%&]", " $0 "),
            rule("([^.])(\\.)([\\])}>\"'»”’ ]*)\\s*$", "$1 $2 $3 "),
            rule("[?!]", " $0 "),
            rule("([^'])' ", "$1 ' "),
            rule("[*]", " $0 "),
            rule("[\\]\\[(){}<>]", " $0 "),
            rule("--", " -- "),
            rule("([»”’])", " $1 "),
            rule("''", " '' "),
            rule("\"", " '' "),
            rule("([^' ])('[sS]|'[mM]|'[dD]|') ", "$1 $2 "),
            rule("([^' ])('ll|'LL|'re|'RE|'ve|'VE|n't|N'T) ", "$1 $2 "),
            rule("(?i)\\b(can)(not)\\b|\\b(d)('ye)\\b|\\b(gim)(me)\\b|\\b(gon)(na)\\b", " $1$3$5$7 $2$4$6$8 "),
            rule("(?i)\\b(got)(ta)\\b|\\b(lem)(me)\\b|\\b(more)('n)\\b|\\b(wan)(na)\\b", " $1$3$5$7 $2$4$6$8 "));

    private TreebankWords() {}

    private static Map.Entry<Pattern, String> rule(String expression, String by) {
        return Map.entry(Pattern.compile(expression, Pattern.UNICODE_CHARACTER_CLASS), by);
    }

    static List<String> of(String text) {
        String apart = text;
        int number = 0;
        for (Map.Entry<Pattern, String> rule : RULES) {
            // Spaces at both ends serve the rules of what stands at an end.
            apart = number++ == 15 ? " " + apart + " " : apart;
            apart = rule.getKey().matcher(apart).replaceAll(rule.getValue());
        }
        return AnswerWords.split(apart);
    }
}
