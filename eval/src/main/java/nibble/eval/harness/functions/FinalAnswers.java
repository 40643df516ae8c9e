package nibble.eval.harness.functions;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import nibble.datasets.PythonText;
import org.jspecify.annotations.Nullable;

/**
 * Judges answers to MATH's hardest problems as the Open LLM Leaderboard's second version does. The harness compares
 * with SymPy and math-verify; {@link LatexValue} takes their place, so what it cannot compute (sets of another order,
 * intervals as inequalities, matrices) counts as equal only where it is written alike.
 */
public final class FinalAnswers {
    private static final Pattern FINAL =
            Pattern.compile("Final Answer: The final answer is(.*?). I hope it is correct.");
    private static final Pattern DOLLARS = Pattern.compile("\\$\\$?([^$]+)\\$\\$?");
    private static final Pattern NUMBER = Pattern.compile("-?\\d[\\d,]*(\\.\\d+)?(/\\d+)?%?");

    private static final Pattern COMMAND = Pattern.compile("\\\\[a-zA-Z]+");
    private static final Pattern THOUSANDS = Pattern.compile("-?\\d{1,3}(,\\d{3})+");

    /** Appendix D of Lewkowycz et al. (2022): what is replaced, in turn. */
    private static final List<List<String>> REPLACED = List.of(
            List.of("an ", ""),
            List.of("a ", ""),
            List.of(".$", "$"),
            List.of("\\$", ""),
            List.of("\\ ", ""),
            List.of(" ", ""),
            List.of("mbox", "text"),
            List.of(",\\text{and}", ","),
            List.of("\\text{and}", ","),
            List.of("\\text{m}", "\\text{}"));

    /** The same: what is left out, in turn. */
    private static final List<String> WORDS =
            List.of(("square ways integers dollars mph inches ft hours km units \\ldots"
                            + " sue points feet minutes digits cents degrees cm gm pounds meters meals edges students"
                            + " childrentickets multiples \\text{s} \\text{.}")
                    .split(" "));

    private static final List<String> SIGNS = List.of(
            "\\text{\ns}",
            "\\text{}^2",
            "\\text{}^3",
            "\\text{\n}",
            "\\text{}",
            "\\mathrm{th}",
            "^\\circ",
            "^{\\circ}",
            "\\;",
            ",\\!",
            "{,}",
            "\"",
            "\\dots");

    private static final List<String> REMOVED =
            Stream.concat(WORDS.stream(), SIGNS.stream()).toList();

    /** The words that math-verify leaves out behind a number: not all of the appendix's. */
    private static final List<String> UNITS = REMOVED.stream()
            .filter(one ->
                    !List.of("integers", "dollars", "points", "childrentickets").contains(one))
            .toList();

    private FinalAnswers() {}

    public static Map<String, Object> scores(Map<String, @Nullable Object> document, @Nullable Object response) {
        String text = String.valueOf(response);
        String right = QuestionFunctions.text(document, "answer");
        Map<String, Object> scores = new LinkedHashMap<>();
        // math-verify finds no answer in a box without braces.
        boolean isFound = QuestionFunctions.text(document, "solution").contains("\\boxed{");
        scores.put("exact_match", one(isFound && verified(right, text)));
        scores.put("exact_match_original", one(original(right, text)));
        return scores;
    }

    /** Judges an answer of minerva_math, whose rules for writing answers alike are newer. */
    public static Map<String, Object> scoresOfMinerva(
            Map<String, @Nullable Object> document, @Nullable Object response) {
        String text = String.valueOf(response);
        String right = QuestionFunctions.text(document, "answer");
        Matcher matcher = FINAL.matcher(text + "I hope it is correct.");
        String answer = written(matcher.find() ? PythonText.strip(matcher.group(1)) : MathAnswers.NONE);
        String solution = QuestionFunctions.text(document, "solution");
        Map<String, Object> scores = new LinkedHashMap<>();
        scores.put("exact_match", one(!answer.isEmpty() && answer.equals(right) || LatexValue.same(answer, right)));
        scores.put("math_verify", one(verified(found(solution), text)));
        return scores;
    }

    private static double one(boolean yes) {
        return yes ? 1 : 0;
    }

    private static boolean original(String right, String text) {
        Matcher matcher = FINAL.matcher(text + "I hope it is correct.");
        if (!matcher.find()) {
            return false;
        }
        String answer = PythonText.strip(normalized(PythonText.strip(matcher.group(1))));
        String gold = PythonText.strip(normalized(right));
        return answer.equals(gold) || LatexValue.same(answer, gold);
    }

    /** An answer in a box, else the last one between dollars, else the last number, beside the right one. */
    private static boolean verified(String right, String text) {
        String answer = found(text);
        String written = normalized(answer, UNITS);
        String gold = normalized(right, UNITS);
        if (written.isEmpty()) {
            return false;
        }
        List<String> parts = parts(written);
        List<String> golds = parts(gold);
        if (parts.size() != golds.size() || parts.size() == 1) {
            return written.equals(gold) || LatexValue.same(written, gold) || LatexValue.same(answer, right);
        }
        for (int i = 0; i < parts.size(); i++) {
            if (!parts.get(i).equals(golds.get(i)) && !LatexValue.same(parts.get(i), golds.get(i))) {
                return false;
            }
        }
        return true;
    }

    private static String found(String text) {
        String boxed = MathAnswers.boxed(text, true);
        String answer = !boxed.equals(MathAnswers.NONE) ? boxed : last(DOLLARS, text, 1);
        return answer.isEmpty() ? last(NUMBER, text, 0) : answer;
    }

    private static String last(Pattern pattern, String text, int group) {
        String found = "";
        for (Matcher matcher = pattern.matcher(text); matcher.find(); ) {
            found = matcher.group(group);
        }
        return found;
    }

    /** Splits at commas outside inner brackets; the outer brackets are parts of their neighbours. */
    private static List<String> parts(String answer) {
        boolean bracketed = answer.matches("[(\\[].*[)\\]]");
        String inside = bracketed ? answer.substring(1, answer.length() - 1) : answer;
        List<String> parts = new ArrayList<>();
        int depth = 0;
        int begin = 0;
        for (int i = 0; i < inside.length(); i++) {
            char c = inside.charAt(i);
            depth += "([{".indexOf(c) >= 0 ? 1 : ")]}".indexOf(c) >= 0 ? -1 : 0;
            if (c == ',' && depth == 0) {
                parts.add(inside.substring(begin, i));
                begin = i + 1;
            }
        }
        parts.add(inside.substring(begin));
        if (bracketed && parts.size() > 1) {
            parts.addFirst(answer.substring(0, 1));
            parts.addLast(answer.substring(answer.length() - 1));
        }
        return parts;
    }

    /** Writes an answer in a common form by minerva_math's rules, which mend the appendix's. */
    static String written(String answer) {
        String plain = answer.substring(answer.lastIndexOf('=') + 1);
        for (String one : REMOVED) {
            if (isWord(one)) {
                plain = Pattern.compile("(?<!\\\\)\\b" + one + "\\b", Pattern.UNICODE_CHARACTER_CLASS)
                        .matcher(plain)
                        .replaceAll("");
            }
        }
        for (List<String> pair : REPLACED) {
            plain = plain.replace(pair.getFirst(), pair.getLast());
        }
        for (String one : REMOVED) {
            plain = isWord(one) ? withoutInText(plain, one) : plain.replace(one, "");
        }
        plain = unwrapped(plain)
                .replaceAll("(sqrt)(\\[[^\\]]*\\])(\\w)", "$1$2{$3}")
                .replaceAll("(sqrt)(?!\\[)([^{])", "sqrt{$2}")
                .replace("$", "");
        return THOUSANDS.matcher(plain).matches() ? plain.replace(",", "") : plain;
    }

    private static boolean isWord(String removed) {
        return removed.chars().allMatch(Character::isLetter);
    }

    /** Removes a word where it is no part of a command's name. */
    private static String withoutInText(String text, String word) {
        StringBuilder left = new StringBuilder();
        int begin = 0;
        for (Matcher command = COMMAND.matcher(text); command.find(); begin = command.end()) {
            left.append(text.substring(begin, command.start()).replace(word, ""))
                    .append(command.group());
        }
        return left.append(text.substring(begin).replace(word, "")).toString();
    }

    private static String unwrapped(String text) {
        return text.replaceAll("(.*?)(\\$)(.*?)(\\$)(.*)", "\\$$3\\$")
                .replaceAll("(\\\\text\\{)(.*?)(\\})", "$2")
                .replaceAll("(\\\\textbf\\{)(.*?)(\\})", "$2")
                .replaceAll("(\\\\overline\\{)(.*?)(\\})", "$2")
                .replaceAll("(\\\\boxed\\{)(.*)(\\})", "$2")
                .replaceAll("(frac)([^{])(.)", "frac{$2}{$3}");
    }

    /** Writes an answer in a common form, by the rules of the same appendix. */
    static String normalized(String answer) {
        return normalized(answer, REMOVED);
    }

    private static String normalized(String answer, List<String> removed) {
        String plain = answer.substring(answer.lastIndexOf('=') + 1);
        for (List<String> pair : REPLACED) {
            plain = plain.replace(pair.getFirst(), pair.getLast());
        }
        for (String one : removed) {
            plain = plain.replace(one, "");
        }
        plain = unwrapped(plain).replaceAll("(sqrt)([^{])", "sqrt{$2}").replace("$", "");
        String digits = plain.replace(",", "");
        return !digits.isEmpty() && digits.chars().allMatch(Character::isDigit) ? digits : plain;
    }
}
