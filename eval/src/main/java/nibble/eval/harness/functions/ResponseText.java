package nibble.eval.harness.functions;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.json.JsonReadFeature;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.json.JsonMapper;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import nibble.datasets.PythonText;
import nibble.jinja.PythonRegex;

/** Counts and finds in a response what IFEval's instructions ask for. */
final class ResponseText {
    private static final ObjectMapper JSON = JsonMapper.builder()
            .enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS)
            .enable(JsonReadFeature.ALLOW_NON_NUMERIC_NUMBERS)
            .build();
    private static final Pattern SENTENCE_END = Pattern.compile("(\\S*?)([.?!]+)[\"')\\]}”’]*(\\s+|$)");
    /** Words that are followed by a point within a sentence. */
    private static final List<String> ABBREVIATIONS = List.of(
            ("mr mrs ms dr prof st jr sr gen col capt lt sgt rev hon gov sen rep inc ltd co corp bros vs etc no vol"
                            + " p pp fig ave blvd mt jan feb mar apr jun jul aug sep sept oct nov dec")
                    .split(" "));

    private ResponseText() {}

    static String lower(String text) {
        return text.toLowerCase(Locale.ROOT);
    }

    static int count(String expression, String text) {
        return PythonRegex.of(expression).findAll(text).size();
    }

    static int letters(String text, String letter) {
        int wanted = lower(PythonText.strip(letter)).codePointAt(0);
        return (int) lower(text).codePoints().filter(point -> point == wanted).count();
    }

    /** Runs of letters, digits and underscores. */
    static int words(String text) {
        int words = 0;
        boolean within = false;
        for (int point : text.codePoints().toArray()) {
            boolean inWord = point == '_' || isAlphanumeric(point);
            words += inWord && !within ? 1 : 0;
            within = inWord;
        }
        return words;
    }

    private static boolean isAlphanumeric(int point) {
        int type = Character.getType(point);
        return Character.isLetter(point)
                || type == Character.LETTER_NUMBER
                || type == Character.OTHER_NUMBER
                || Character.isDigit(point);
    }

    /**
     * Counts sentences: an end is a point, a question mark or an exclamation mark before white space. A point behind an
     * abbreviation or an initial is none, nor are points before a small letter. The harness asks NLTK's Punkt, whose
     * trained list of abbreviations is longer.
     */
    static int sentences(String text) {
        int sentences = 0;
        int end = 0;
        Matcher matcher = SENTENCE_END.matcher(text);
        while (matcher.find()) {
            String word = lower(matcher.group(1)).replaceAll("^[\"'(\\[“‘]+", "");
            boolean within = matcher.group(2).equals(".")
                    && (ABBREVIATIONS.contains(word) || word.matches("\\p{L}") || word.matches("(\\p{L}\\.)+\\p{L}"));
            boolean trails = matcher.group(2).startsWith("..")
                    && matcher.end() < text.length()
                    && Character.isLowerCase(text.codePointAt(matcher.end()));
            if (!within && !trails || matcher.end() == text.length()) {
                sentences++;
                end = matcher.end();
            }
        }
        return sentences + (PythonText.strip(text.substring(end)).isEmpty() ? 0 : 1);
    }

    /** Parts between lines of three asterisks; −1 where one within is empty. */
    static int paragraphs(String text) {
        String[] parts = Pattern.compile("\\s?\\*\\*\\*\\s?", Pattern.UNICODE_CHARACTER_CLASS)
                .split(text, -1);
        int count = parts.length;
        for (int i = 0; i < parts.length; i++) {
            if (PythonText.strip(parts[i]).isEmpty()) {
                if (i > 0 && i < parts.length - 1) {
                    return -1;
                }
                count--;
            }
        }
        return count;
    }

    /** Whether there are so many paragraphs, and one begins with a word. */
    static boolean begins(String text, int paragraphs, int nth, String word) {
        String[] parts = text.split("\n\n", -1);
        int count = 0;
        for (String part : parts) {
            count += PythonText.strip(part).isEmpty() ? 0 : 1;
        }
        if (nth > count) {
            return false;
        }
        List<String> words = AnswerWords.split(parts[nth - 1]);
        if (words.isEmpty()) {
            return false;
        }
        String first = words.getFirst().replaceAll("^'+", "").replaceAll("^\"+", "");
        String plain = lower(first.split("[.,?!'\"]", 2)[0]);
        return count == paragraphs && plain.equals(lower(word));
    }

    static boolean hasPostscript(String text, String marker) {
        String expression = switch (marker) {
            case "P.P.S" -> "(?m)\\s*p\\.\\s?p\\.\\s?s.*$";
            case "P.S." -> "(?m)\\s*p\\.\\s?s\\..*$";
            default -> "(?m)\\s*" + lower(marker) + ".*$";
        };
        return count(expression, lower(text)) > 0;
    }

    static int bullets(String text) {
        return count("(?m)^\\s*\\*[^\\*].*$", text) + count("(?m)^\\s*-.*$", text);
    }

    static int highlights(String text) {
        int count = 0;
        for (List<String> found : PythonRegex.of("\\*[^\\n\\*]*\\*").findAll(text)) {
            String inside = found.getFirst().replaceAll("^\\*+|\\*+$", "");
            count += PythonText.strip(inside).isEmpty() ? 0 : 1;
        }
        for (List<String> found : PythonRegex.of("\\*\\*[^\\n\\*]*\\*\\*").findAll(text)) {
            String inside = found.getFirst().substring(2, found.getFirst().length() - 2);
            count += PythonText.strip(inside).isEmpty() ? 0 : 1;
        }
        return count;
    }

    static boolean isJson(String text) {
        String plain = PythonText.strip(text);
        for (String prefix : List.of("```json", "```Json", "```JSON", "```")) {
            plain = plain.startsWith(prefix) ? plain.substring(prefix.length()) : plain;
        }
        plain = plain.endsWith("```") ? plain.substring(0, plain.length() - 3) : plain;
        try {
            return !JSON.readTree(PythonText.strip(plain)).isMissingNode();
        } catch (JsonProcessingException e) {
            return false;
        }
    }

    static boolean hasTitle(String text) {
        return PythonRegex.of("<<[^\\n]+>>").findAll(text).stream()
                .map(found -> found.getFirst().replaceAll("^<+", "").replaceAll(">+$", ""))
                .anyMatch(title -> !PythonText.strip(title).isEmpty());
    }

    /** Whether there are two different texts, with six asterisks between them. */
    static boolean isTwo(String text) {
        String[] parts = text.split(Pattern.quote("******"), -1);
        List<String> responses = new ArrayList<>();
        for (int i = 0; i < parts.length; i++) {
            String part = PythonText.strip(parts[i]);
            if (!part.isEmpty()) {
                responses.add(part);
            } else if (i > 0 && i < parts.length - 1) {
                return false;
            }
        }
        return responses.size() == 2 && !responses.getFirst().equals(responses.getLast());
    }

    static boolean endsWith(String text, String phrase) {
        String plain = PythonText.strip(text).replaceAll("^\"+|\"+$", "");
        return lower(plain).endsWith(lower(phrase));
    }

    static int capitalWords(String text) {
        return (int)
                TreebankWords.of(text).stream().filter(ResponseText::isUpper).count();
    }

    /** Whether there are letters with case, and all are capitals. */
    static boolean isUpper(String text) {
        return text.codePoints().anyMatch(Character::isUpperCase)
                && text.codePoints().noneMatch(point -> Character.isLowerCase(point) || Character.isTitleCase(point));
    }

    /** Whether there are letters with case, and none is a capital. */
    static boolean isLower(String text) {
        return text.codePoints().anyMatch(Character::isLowerCase)
                && text.codePoints().noneMatch(point -> Character.isUpperCase(point) || Character.isTitleCase(point));
    }
}
