package nibble.eval.mtbench;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.regex.Pattern;
import nibble.datasets.BadDatasetException;

/**
 * Writes FastChat's {@code model_answer/MODEL.jsonl} while it grows: each answer is on the disk as soon as it is whole.
 * What a killed run left of an answer, a last line without its end, is cut off when the file is
 * opened again.
 */
public final class MtBenchAnswerFile implements AutoCloseable {
    /** What every line of such a file begins with, as far as it does not depend on the answer. */
    private static final Pattern BEGINNING = Pattern.compile("\\{\"question_id\":\\d+,\"answer_id\":\"\\w+\",.*");

    private final RecordLines<MtBenchAnswer> lines;
    private final String modelId;
    private final MtBenchSettings settings;
    /** By the question's number, in the order of the file. */
    private final Map<Integer, MtBenchAnswer> answers;

    private MtBenchAnswerFile(
            RecordLines<MtBenchAnswer> lines,
            String modelId,
            MtBenchSettings settings,
            Map<Integer, MtBenchAnswer> answers) {
        this.lines = lines;
        this.modelId = modelId;
        this.settings = settings;
        this.answers = answers;
    }

    /**
     * Opens a file that is not there yet or that the same model and settings began. It is neither made nor changed
     * before the first answer is added.
     *
     * @throws BadDatasetException if its answers are another model's or were made in another way, or anything in it is
     *     no answer
     */
    public static MtBenchAnswerFile open(Path file, String modelId, MtBenchSettings settings) {
        Map<Integer, MtBenchAnswer> answers = new LinkedHashMap<>();
        RecordLines<MtBenchAnswer> lines = RecordLines.open(
                file,
                MtBenchAnswer.class,
                "answer",
                BEGINNING,
                (where, answer) -> answers.put(same(where, answer, modelId, settings), answer));
        return new MtBenchAnswerFile(lines, modelId, settings, answers);
    }

    private static int same(String where, MtBenchAnswer answer, String modelId, MtBenchSettings settings) {
        if (!answer.modelId().equals(modelId)) {
            throw new BadDatasetException("%s: an answer of %s, this run is of %s; give another file"
                    .formatted(where, answer.modelId(), modelId));
        }
        if (!answer.settings().equals(settings)) {
            throw new BadDatasetException("%s: made with %s, this run has %s; give the same options or another file"
                    .formatted(where, answer.settings(), settings));
        }
        return answer.questionId();
    }

    /** Returns whether the file has an answer to this question. */
    public boolean has(int questionId) {
        return answers.containsKey(questionId);
    }

    /** Adds an answer and waits until it is on the disk. */
    public void add(int questionId, List<MtBenchAnswer.Choice> choices) {
        MtBenchAnswer answer =
                MtBenchAnswer.of(questionId, modelId, choices, settings, System.currentTimeMillis() / 1000.0);
        lines.add(answer);
        answers.put(questionId, answer);
    }

    /**
     * Ends a file that has all answers: puts them in the order of their questions if they ended in another, and closes
     * it.
     *
     * @param questions their numbers; answers to others stand behind
     */
    public void finish(List<Integer> questions) {
        List<MtBenchAnswer> ordered = new ArrayList<>();
        for (int question : questions) {
            MtBenchAnswer answer = answers.get(question);
            if (answer != null) {
                ordered.add(answer);
            }
        }
        answers.values().stream()
                .filter(answer -> !questions.contains(answer.questionId()))
                .forEach(ordered::add);
        if (!ordered.equals(List.copyOf(answers.values()))) {
            lines.reorder(ordered);
        }
        close();
    }

    @Override
    public void close() {
        lines.close();
    }
}
