package nibble.eval.harness.functions;

import java.util.List;
import java.util.Map;
import nibble.datasets.BadDatasetException;
import org.jspecify.annotations.Nullable;

/** Makes race's questions: an article, its problems with their answers, and the last problem. */
final class RaceArticle {
    private static final String BLANK = "  _  .";

    private RaceArticle() {}

    private static List<?> problems(Map<String, @Nullable Object> document) {
        List<?> problems = QuestionFunctions.literal(QuestionFunctions.text(document, "problems"));
        if (problems.isEmpty()) {
            throw new BadDatasetException("race: an article without problems");
        }
        return problems;
    }

    private static String of(Object problem, String key) {
        if (problem instanceof Map<?, ?> map && map.get(key) instanceof String text) {
            return text;
        }
        throw new BadDatasetException("race: a problem has no text " + key);
    }

    private static long answer(Object problem) {
        int number = List.of("A", "B", "C", "D").indexOf(of(problem, "answer"));
        if (number < 0) {
            throw new BadDatasetException("race: the answer " + of(problem, "answer") + " is none of A, B, C, D");
        }
        return number;
    }

    private static List<String> options(Object problem) {
        List<?> options = problem instanceof Map<?, ?> map ? QuestionFunctions.list(map, "options") : List.of();
        if (options.size() < 4) {
            throw new BadDatasetException("race: a problem with " + options.size() + " options, 4 are expected");
        }
        return options.stream().limit(4).map(String::valueOf).toList();
    }

    static Object text(Map<String, @Nullable Object> document) {
        StringBuilder text = new StringBuilder("Article: ")
                .append(QuestionFunctions.text(document, "article"))
                .append("\n\n");
        List<?> problems = problems(document);
        for (Object problem : problems.subList(0, problems.size() - 1)) {
            String question = of(problem, "question");
            String answer = options(problem).get((int) answer(problem));
            if (question.endsWith(BLANK)) {
                text.append(question, 0, question.length() - 5).append(answer).append('\n');
            } else {
                text.append("Question: ")
                        .append(question)
                        .append("\nAnswer: ")
                        .append(answer)
                        .append('\n');
            }
        }
        return text.append(of(problems.getLast(), "question")).toString();
    }

    static Object choices(Map<String, @Nullable Object> document) {
        return options(problems(document).getLast());
    }

    static Object target(Map<String, @Nullable Object> document) {
        return answer(problems(document).getLast());
    }
}
