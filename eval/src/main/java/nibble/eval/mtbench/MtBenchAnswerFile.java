package nibble.eval.mtbench;

import java.nio.file.Path;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.regex.Pattern;
import nibble.datasets.BadDatasetException;

/**
 * Writes FastChat's {@code model_answer/MODEL.jsonl} while it grows: each answer is on the disk before the next
 * question is asked. What a killed run left of an answer, a last line without its end, is cut off when the file is
 * opened again.
 */
public final class MtBenchAnswerFile implements AutoCloseable {
    /** What every line of such a file begins with, as far as it does not depend on the answer. */
    private static final Pattern BEGINNING = Pattern.compile("\\{\"question_id\":\\d+,\"answer_id\":\"\\w+\",.*");

    private final RecordLines<MtBenchAnswer> lines;
    private final String modelId;
    private final MtBenchSettings settings;
    private final Set<Integer> answered;

    private MtBenchAnswerFile(
            RecordLines<MtBenchAnswer> lines, String modelId, MtBenchSettings settings, Set<Integer> answered) {
        this.lines = lines;
        this.modelId = modelId;
        this.settings = settings;
        this.answered = answered;
    }

    /**
     * Opens a file that is not there yet or that the same model and settings began. It is neither made nor changed
     * before the first answer is added.
     *
     * @throws BadDatasetException if its answers are another model's or were made in another way, or anything in it is
     *     no answer
     */
    public static MtBenchAnswerFile open(Path file, String modelId, MtBenchSettings settings) {
        Set<Integer> answered = new HashSet<>();
        RecordLines<MtBenchAnswer> lines = RecordLines.open(
                file,
                MtBenchAnswer.class,
                "answer",
                BEGINNING,
                (where, answer) -> answered.add(same(where, answer, modelId, settings)));
        return new MtBenchAnswerFile(lines, modelId, settings, answered);
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
        return answered.contains(questionId);
    }

    /** Adds an answer and waits until it is on the disk. */
    public void add(int questionId, List<MtBenchAnswer.Choice> choices) {
        MtBenchAnswer answer =
                MtBenchAnswer.of(questionId, modelId, choices, settings, System.currentTimeMillis() / 1000.0);
        lines.add(answer);
        answered.add(questionId);
    }

    @Override
    public void close() {
        lines.close();
    }
}
