package nibble.eval.harness.functions;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import nibble.datasets.BadDatasetException;
import nibble.datasets.PythonText;
import org.jspecify.annotations.Nullable;

/** Makes coqa's questions, a conversation about a text, and judges the answer to the last one. */
public final class CoqaTurns {
    private CoqaTurns() {}

    private static List<String> turns(@Nullable Object column, String name) {
        if (column instanceof Map<?, ?> map && map.get("input_text") instanceof List<?> list) {
            return list.stream().map(String::valueOf).toList();
        }
        throw new BadDatasetException("coqa: a document has no texts in its column " + name);
    }

    static Object text(Map<String, @Nullable Object> document) {
        StringBuilder text = new StringBuilder(QuestionFunctions.text(document, "story")).append("\n\n");
        List<String> questions = turns(document.get("questions"), "questions");
        List<String> answers = turns(document.get("answers"), "answers");
        for (int i = 0; i < Math.max(questions.size(), answers.size() - 1); i++) {
            text.append("Q: ")
                    .append(i < questions.size() ? questions.get(i) : "None")
                    .append("\n\n");
            text.append(i < answers.size() - 1 ? "A: " + answers.get(i) + "\n\n" : "A:");
        }
        return text.toString();
    }

    /** The answer to the last question, and other people's that differ in more than case. */
    static List<String> answers(Map<String, @Nullable Object> document) {
        int last = turns(document.get("questions"), "questions").size() - 1;
        List<String> answers = new ArrayList<>();
        answers.add(at(turns(document.get("answers"), "answers"), last));
        if (document.get("additional_answers") instanceof Map<?, ?> more) {
            more.forEach((name, turns) -> {
                String answer = at(turns(turns, "additional_answers." + name), last);
                boolean known = answers.stream()
                        .anyMatch(one -> one.toLowerCase(Locale.ROOT).equals(answer.toLowerCase(Locale.ROOT)));
                if (!known) {
                    answers.add(answer);
                }
            });
        }
        return answers;
    }

    private static String at(List<String> turns, int number) {
        int index = number < 0 ? number + turns.size() : number;
        if (index < 0 || index >= turns.size()) {
            throw new BadDatasetException("coqa: " + turns.size() + " answers, more questions");
        }
        return turns.get(index);
    }

    public static Map<String, Object> scores(Map<String, @Nullable Object> document, @Nullable Object response) {
        List<String> golds = answers(document);
        String text = PythonText.strip(String.valueOf(response)).split("\n", 2)[0];
        double same = 0;
        double overlap = 0;
        for (int i = 0; i < golds.size(); i++) {
            List<String> others = new ArrayList<>(golds);
            if (golds.size() > 1) {
                others.remove(i);
            }
            same += others.stream()
                    .mapToDouble(gold -> AnswerWords.same(gold, text))
                    .max()
                    .orElse(0);
            overlap += others.stream()
                    .mapToDouble(gold -> AnswerWords.overlap(gold, text))
                    .max()
                    .orElse(0);
        }
        Map<String, Object> scores = new LinkedHashMap<>();
        scores.put("em", same / golds.size());
        scores.put("f1", overlap / golds.size());
        return scores;
    }
}
