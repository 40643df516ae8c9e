package nibble.eval.harness.functions;

import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.regex.Pattern;
import nibble.datasets.PythonText;

/** Compares answers by their words, as SQuAD's measure does: case, punctuation and articles left out. */
public final class AnswerWords {
    public static final String ASCII_PUNCTUATION = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~";
    public static final Pattern ARTICLES = Pattern.compile("\\b(a|an|the)\\b", Pattern.UNICODE_CHARACTER_CLASS);
    private static final Pattern SPACES = Pattern.compile("\\s+", Pattern.UNICODE_CHARACTER_CLASS);

    private AnswerWords() {}

    public static List<String> split(String text) {
        String plain = PythonText.strip(text);
        return plain.isEmpty() ? List.of() : List.of(SPACES.split(plain));
    }

    public static String withoutPunctuation(String text) {
        StringBuilder left = new StringBuilder();
        text.chars().filter(c -> ASCII_PUNCTUATION.indexOf(c) < 0).forEach(c -> left.append((char) c));
        return left.toString();
    }

    private static List<String> words(String text) {
        String plain = withoutPunctuation(text.toLowerCase(Locale.ROOT));
        return split(ARTICLES.matcher(plain).replaceAll(" "));
    }

    public static double same(String gold, String text) {
        return words(gold).equals(words(text)) ? 1 : 0;
    }

    /** Returns the harmonic mean of the shares of common words in both. */
    public static double overlap(String gold, String text) {
        List<String> right = words(gold);
        List<String> written = words(text);
        if (right.isEmpty() || written.isEmpty()) {
            return right.equals(written) ? 1 : 0;
        }
        List<String> rest = new ArrayList<>(right);
        double common = written.stream().filter(rest::remove).count();
        if (common == 0) {
            return 0;
        }
        double precision = common / written.size();
        double recall = common / right.size();
        return 2 * precision * recall / (precision + recall);
    }
}
