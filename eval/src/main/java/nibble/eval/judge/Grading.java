package nibble.eval.judge;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.BiConsumer;
import nibble.datasets.BadDatasetException;
import nibble.datasets.mtbench.MtBenchQuestion;

/**
 * Measures answers by FastChat's single-answer grading: each turn by itself, the second with the first before it; math,
 * reasoning and coding beside reference answers.
 *
 * @param references by the question's number, a text for each turn; none to take the questions' own, without which a
 *     turn is graded like those of other categories
 */
public record Grading(JudgePrompts prompts, List<MtBenchQuestion> questions, Map<Integer, List<String>> references) {

    /** A turn to grade. */
    private record Turn(MtBenchQuestion question, int number, JudgePrompt prompt, String text) {
        List<String> judge(JudgeModel model) {
            return List.of(model.name(), prompt.name());
        }
    }

    /**
     * Asks for what has no judgment yet, and returns the scores of all.
     *
     * @param progress told the share that is done, and of what
     * @throws BadDatasetException if an answer's question is unknown, or the file's judgments were made in another way
     * @throws JudgeException if the judge gives no answer; what it gave before is in the file
     */
    public JudgeScores grade(
            JudgedAnswers answers, JudgeModel judge, JudgmentFile file, BiConsumer<Double, String> progress) {
        List<Turn> turns = turns(answers);
        // What an earlier run left is compared before anything is paid for.
        List<Optional<Judgment>> found = turns.stream()
                .map(turn -> file.of(
                        turn.question().id(),
                        turn.number(),
                        answers.model(),
                        turn.judge(judge),
                        turn.prompt().system(),
                        turn.text()))
                .toList();
        List<Judgment> judgments = new ArrayList<>();
        for (int i = 0; i < turns.size(); i++) {
            Turn turn = turns.get(i);
            judgments.add(found.get(i).orElseGet(() -> asked(turn, answers.model(), judge, file)));
            progress.accept(
                    (double) (i + 1) / turns.size(),
                    "question " + turn.question().id() + ", turn " + turn.number());
        }
        return JudgeScores.of(answers.model(), judge.name(), prompts, questions, judgments);
    }

    private static Judgment asked(Turn turn, String model, JudgeModel judge, JudgmentFile file) {
        JudgeModel.Reply reply = judge.ask(turn.prompt().system(), turn.text());
        Judgment judgment = new Judgment(
                turn.question().id(),
                model,
                turn.judge(judge),
                turn.prompt().system(),
                turn.text(),
                reply.text(),
                Judgment.score(reply.text()),
                turn.number(),
                System.currentTimeMillis() / 1000.0,
                reply.promptTokens(),
                reply.completionTokens());
        file.add(judgment);
        return judgment;
    }

    private List<Turn> turns(JudgedAnswers answers) {
        Map<Integer, MtBenchQuestion> known = new LinkedHashMap<>();
        questions.forEach(question -> known.put(question.id(), question));
        for (int id : answers.turns().keySet()) {
            if (!known.containsKey(id)) {
                throw new BadDatasetException("question " + id
                        + " is answered, but is not among the questions; give them with --questions FILE");
            }
        }
        List<Turn> turns = new ArrayList<>();
        for (MtBenchQuestion question : questions) {
            List<String> said = answers.turns().getOrDefault(question.id(), List.of());
            int count = Math.min(Math.min(said.size(), question.turns().size()), 2);
            for (int number = 1; number <= count; number++) {
                List<String> right = right(question, number);
                JudgePrompt prompt = prompts.of(number, !right.isEmpty());
                turns.add(new Turn(question, number, prompt, prompt.filled(values(question, said, right, number))));
            }
        }
        return turns;
    }

    /** The reference answers up to a turn; none where the question needs none, or has none for each. */
    private List<String> right(MtBenchQuestion question, int turn) {
        if (!JudgePrompts.needsReference(question)) {
            return List.of();
        }
        if (!references.isEmpty() && !references.containsKey(question.id())) {
            throw new BadDatasetException("question " + question.id() + " of category " + question.category()
                    + " has no answer in the file of reference answers; give a file that has it");
        }
        List<String> right = references.getOrDefault(question.id(), question.references());
        boolean whole = right.size() >= turn && right.subList(0, turn).stream().noneMatch(String::isBlank);
        return whole ? right.subList(0, turn) : List.of();
    }

    private static Map<String, String> values(
            MtBenchQuestion question, List<String> said, List<String> right, int turn) {
        Map<String, String> values = new LinkedHashMap<>();
        if (turn == 1) {
            values.put("question", question.turns().getFirst());
            values.put("answer", said.getFirst());
        } else {
            for (int i = 0; i < 2; i++) {
                values.put("question_" + (i + 1), question.turns().get(i));
                values.put("answer_" + (i + 1), said.get(i));
            }
        }
        for (int i = 0; i < right.size(); i++) {
            values.put("ref_answer_" + (i + 1), right.get(i));
        }
        return values;
    }
}
