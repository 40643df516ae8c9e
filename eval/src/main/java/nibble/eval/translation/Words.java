package nibble.eval.translation;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.regex.Pattern;
import nibble.datasets.PythonText;

/** Cuts texts into words and counts sequences of them, as sacrebleu does. */
final class Words {
    /** Punctuation, and points, commas and hyphens beside or behind digits: the tokenizer 13a of mteval. */
    private static final List<Map.Entry<Pattern, String>> APART = List.of(
            Map.entry(Pattern.compile("([{-~\\[-` -&(-+:-@/])"), " $1 "),
            Map.entry(Pattern.compile("([^0-9])([.,])"), "$1 $2 "),
            Map.entry(Pattern.compile("([.,])([^0-9])"), " $1 $2"),
            Map.entry(Pattern.compile("([0-9])(-)"), "$1 $2 "));

    private Words() {}

    /** Python's {@code text.split()}. */
    static List<String> split(String text) {
        List<String> words = new ArrayList<>();
        int begin = -1;
        for (int i = 0; i <= text.length(); i++) {
            boolean space = i == text.length() || PythonText.isSpace(text.charAt(i));
            if (space && begin >= 0) {
                words.add(text.substring(begin, i));
                begin = -1;
            } else if (!space && begin < 0) {
                begin = i;
            }
        }
        return words;
    }

    /** Words and punctuation by the rules of mteval-v13a. */
    static List<String> of13a(String text) {
        String line = PythonText.stripRight(text)
                .replace("<skipped>", "")
                .replace("-\n", "")
                .replace("\n", " ")
                .replace("&quot;", "\"")
                .replace("&amp;", "&")
                .replace("&lt;", "<")
                .replace("&gt;", ">");
        line = " " + line + " ";
        for (Map.Entry<Pattern, String> rule : APART) {
            line = rule.getKey().matcher(line).replaceAll(rule.getValue());
        }
        return split(line);
    }

    /** Counts of all sequences of {@code n} items. */
    static <T> Map<List<T>, Integer> sequences(List<T> items, int n) {
        Map<List<T>, Integer> counts = new HashMap<>();
        for (int i = 0; i + n <= items.size(); i++) {
            counts.merge(items.subList(i, i + n), 1, Integer::sum);
        }
        return counts;
    }
}
