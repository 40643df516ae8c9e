package nibble.eval.harness.functions;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import nibble.datasets.BadDatasetException;
import nibble.datasets.PythonText;
import org.jspecify.annotations.Nullable;

/** Judges a response by IFEval's instructions (Zhou et al., 2023): as it is, and without its first and last line. */
public final class InstructionChecks {
    private InstructionChecks() {}

    /** Returns the figures of a document: whether all instructions are followed, and which; strictly and loosely. */
    public static Map<String, Object> scores(Map<String, @Nullable Object> document, @Nullable Object response) {
        String text = String.valueOf(response);
        List<?> names = QuestionFunctions.list(document, "instruction_id_list");
        List<?> values = QuestionFunctions.list(document, "kwargs");
        List<Boolean> strict = new ArrayList<>();
        List<Boolean> loose = new ArrayList<>();
        for (int i = 0; i < names.size(); i++) {
            Instruction instruction = new Instruction(
                    String.valueOf(names.get(i)),
                    i < values.size() && values.get(i) instanceof Map<?, ?> map ? map : Map.of());
            strict.add(isFollowed(instruction, text));
            loose.add(looser(text).stream().anyMatch(one -> isFollowed(instruction, one)));
        }
        Map<String, Object> scores = new LinkedHashMap<>();
        scores.put("prompt_level_strict_acc", strict.contains(false) ? 0.0 : 1.0);
        scores.put("inst_level_strict_acc", strict);
        scores.put("prompt_level_loose_acc", loose.contains(false) ? 0.0 : 1.0);
        scores.put("inst_level_loose_acc", loose);
        return scores;
    }

    private static boolean isFollowed(Instruction instruction, String text) {
        return !PythonText.strip(text).isEmpty() && instruction.isFollowed(text);
    }

    /** The text, and without its first line, its last, or both; each also without asterisks. */
    private static Set<String> looser(String text) {
        List<String> lines = List.of(text.split("\n", -1));
        int n = lines.size();
        Set<String> texts = new LinkedHashSet<>();
        texts.add(text);
        for (List<String> part : List.of(
                lines.subList(1, n), lines.subList(0, n - 1), n > 1 ? lines.subList(1, n - 1) : List.<String>of())) {
            texts.add(PythonText.strip(String.join("\n", part)));
        }
        List.copyOf(texts).forEach(one -> texts.add(one.replace("*", "")));
        return texts;
    }

    /**
     * An instruction with its values.
     *
     * @param name as {@code keywords:existence}
     */
    private record Instruction(String name, Map<?, ?> values) {
        boolean isFollowed(String text) {
            return switch (name) {
                case "keywords:existence" ->
                    list("keywords").stream().allMatch(word -> ResponseText.count("(?i)" + word, text) > 0);
                case "keywords:frequency" ->
                    compares(
                            ResponseText.count("(?i)" + PythonText.strip(string("keyword")), text),
                            "relation",
                            "frequency");
                case "keywords:forbidden_words" ->
                    list("forbidden_words").stream()
                            .noneMatch(word -> ResponseText.count("(?i)\\b" + word + "\\b", text) > 0);
                case "keywords:letter_frequency" ->
                    compares(ResponseText.letters(text, string("letter")), "let_relation", "let_frequency");
                case "language:response_language" -> LanguageGuess.is(text, string("language"));
                case "length_constraints:number_sentences" ->
                    compares(ResponseText.sentences(text), "relation", "num_sentences");
                case "length_constraints:number_paragraphs" ->
                    ResponseText.paragraphs(text) == number("num_paragraphs");
                case "length_constraints:number_words" -> compares(ResponseText.words(text), "relation", "num_words");
                case "length_constraints:nth_paragraph_first_word" ->
                    ResponseText.begins(text, number("num_paragraphs"), number("nth_paragraph"), string("first_word"));
                case "detectable_content:number_placeholders" ->
                    ResponseText.count("\\[.*?\\]", text) >= number("num_placeholders");
                case "detectable_content:postscript" ->
                    ResponseText.hasPostscript(text, PythonText.strip(string("postscript_marker")));
                case "detectable_format:number_bullet_lists" -> ResponseText.bullets(text) == number("num_bullets");
                case "detectable_format:constrained_response" ->
                    text.contains("My answer is yes.")
                            || text.contains("My answer is no.")
                            || text.contains("My answer is maybe.");
                case "detectable_format:number_highlighted_sections" ->
                    ResponseText.highlights(text) >= number("num_highlights");
                case "detectable_format:multiple_sections" ->
                    ResponseText.count("\\s?" + PythonText.strip(string("section_spliter")) + "\\s?\\d+\\s?", text)
                            >= number("num_sections");
                case "detectable_format:json_format" -> ResponseText.isJson(text);
                case "detectable_format:title" -> ResponseText.hasTitle(text);
                case "combination:two_responses" -> ResponseText.isTwo(text);
                case "combination:repeat_prompt" ->
                    ResponseText.lower(PythonText.strip(text))
                            .startsWith(ResponseText.lower(PythonText.strip(string("prompt_to_repeat"))));
                case "startend:end_checker" -> ResponseText.endsWith(text, PythonText.strip(string("end_phrase")));
                case "change_case:capital_word_frequency" ->
                    compares(ResponseText.capitalWords(text), "capital_relation", "capital_frequency");
                case "change_case:english_capital" -> ResponseText.isUpper(text) && LanguageGuess.is(text, "en");
                case "change_case:english_lowercase" -> ResponseText.isLower(text) && LanguageGuess.is(text, "en");
                case "punctuation:no_comma" -> !text.contains(",");
                case "startend:quotation" -> {
                    String plain = PythonText.strip(text);
                    yield plain.length() > 1 && plain.startsWith("\"") && plain.endsWith("\"");
                }
                default -> throw new BadDatasetException("ifeval: the instruction " + name + " is unknown");
            };
        }

        /** The harness draws a value at random where there is none; no document of the set needs that. */
        private BadDatasetException lacking(String key) {
            return new BadDatasetException("ifeval: the instruction " + name + " has no " + key);
        }

        private String string(String key) {
            if (values.get(key) instanceof String text && !text.isEmpty()) {
                return text;
            }
            throw lacking(key);
        }

        private int number(String key) {
            if (values.get(key) instanceof Number number && number.intValue() > 0) {
                return number.intValue();
            }
            throw lacking(key);
        }

        private List<String> list(String key) {
            if (values.get(key) instanceof List<?> list && !list.isEmpty()) {
                return list.stream().map(String::valueOf).toList();
            }
            throw lacking(key);
        }

        private boolean compares(int found, String relation, String key) {
            return switch (string(relation)) {
                case "less than" -> found < number(key);
                case "at least" -> found >= number(key);
                default -> throw lacking(relation + " of less than, at least");
            };
        }
    }
}
