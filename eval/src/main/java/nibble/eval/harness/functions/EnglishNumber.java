package nibble.eval.harness.functions;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import nibble.datasets.PythonText;

/** Reads numbers in English words as the library word2number does, in the texts that the harness finds them in. */
public final class EnglishNumber {
    private static final String ENDING = "(?:twen|thir|for|fif|six|seven|nine)";
    private static final String SMALL = "zero|one|two|three|four|five|";
    private static final String GREAT = "|ten|eleven|twelve|fourteen|hundred|thousand|(?:m|b|tr)illion";
    private static final String WHOLE = SMALL + ENDING + "(?:teen|ty)|eight(?:|een|y)" + GREAT;

    /** The harness's expression: words of numbers with spaces, commas and "and" between them. */
    private static final Pattern NUMBER = Pattern.compile(
            "((?:(?:" + WHOLE + ")(?:" + SMALL + ENDING + "(?:|teen|ty)|eight(?:een|y)" + GREAT
                    + "|[^\\S\r\n]|,|and|&)+)?(?:" + WHOLE.replace("(?:|een|y)", "(?:een|y)") + "))",
            Pattern.UNICODE_CHARACTER_CLASS);

    private static final Map<String, Long> WORDS = words();
    private static final List<String> SCALES = List.of("billion", "million", "thousand");

    private EnglishNumber() {}

    private static Map<String, Long> words() {
        Map<String, Long> words = new HashMap<>();
        String[] small =
                ("zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen"
                                + " sixteen seventeen eighteen nineteen")
                        .split(" ");
        for (int i = 0; i < small.length; i++) {
            words.put(small[i], (long) i);
        }
        String[] tens = "twenty thirty forty fifty sixty seventy eighty ninety".split(" ");
        for (int i = 0; i < tens.length; i++) {
            words.put(tens[i], 10L * (i + 2));
        }
        words.putAll(Map.of("hundred", 100L, "thousand", 1_000L, "million", 1_000_000L, "billion", 1_000_000_000L));
        return Map.copyOf(words);
    }

    /**
     * Returns the number in words that a text has at a place among all, in digits; empty where there is none.
     *
     * @param number of the match, from 0; a negative one counts from the end
     */
    public static Optional<String> in(String text, int number) {
        List<String> found = new ArrayList<>();
        for (Matcher matcher = NUMBER.matcher(text.toLowerCase(Locale.ROOT)); matcher.find(); ) {
            found.add(matcher.group(1));
        }
        int index = number < 0 ? found.size() + number : number;
        if (index < 0 || index >= found.size()) {
            return Optional.empty();
        }
        OptionalLong value = of(PythonText.strip(found.get(index)));
        return value.isPresent() ? Optional.of(Long.toString(value.getAsLong())) : Optional.empty();
    }

    /** What the library makes of words; empty where it raises an error. */
    static OptionalLong of(String text) {
        List<String> words = AnswerWords.split(text.replace('-', ' ')).stream()
                .filter(WORDS::containsKey)
                .toList();
        int last = -1;
        for (String scale : SCALES) {
            int at = words.indexOf(scale);
            if (at != words.lastIndexOf(scale) || at >= 0 && at < last) {
                return OptionalLong.empty();
            }
            last = at < 0 ? last : at;
        }
        if (words.isEmpty()) {
            return OptionalLong.empty();
        }
        if (words.size() == 1) {
            return OptionalLong.of(value(words.getFirst()));
        }
        long sum = 0;
        int begin = 0;
        for (String scale : SCALES) {
            int at = words.indexOf(scale);
            if (at >= 0) {
                if (at == begin) {
                    return OptionalLong.empty();
                }
                sum += below(words.subList(begin, at)) * value(scale);
                begin = at + 1;
            }
        }
        return OptionalLong.of(begin == words.size() ? sum : sum + below(words.subList(begin, words.size())));
    }

    private static long value(String word) {
        Long value = WORDS.get(word);
        return value == null ? 0 : value;
    }

    /** Two to four words of a number below a thousand; of more words the first. */
    private static long below(List<String> words) {
        long[] values = words.stream().mapToLong(EnglishNumber::value).toArray();
        return switch (values.length) {
            case 4 -> values[0] * values[1] + values[2] + values[3];
            case 3 -> values[0] * values[1] + values[2];
            case 2 -> values[0] == 100 || values[1] == 100 ? values[0] * values[1] : values[0] + values[1];
            default -> values[0];
        };
    }
}
