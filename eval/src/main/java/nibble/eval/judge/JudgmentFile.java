package nibble.eval.judge;

import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.regex.Pattern;
import nibble.datasets.BadDatasetException;
import nibble.eval.mtbench.RecordLines;

/** Writes a file of judgments while it grows: each is on the disk before the next answer is graded. */
public final class JudgmentFile implements AutoCloseable {
    private static final Pattern BEGINNING = Pattern.compile("\\{\"question_id\":\\d+,\"model\":\".*");

    private final Path file;
    private final Map<String, Judgment> judgments = new LinkedHashMap<>();
    private final RecordLines<Judgment> lines;

    /**
     * Opens a file that is not there yet or that an earlier run began.
     *
     * @throws BadDatasetException if anything in it is no judgment
     */
    public JudgmentFile(Path file) {
        this.file = file;
        this.lines = RecordLines.open(
                file, Judgment.class, "judgment", BEGINNING, (_, judgment) -> judgments.put(key(judgment), judgment));
    }

    private static String key(Judgment judgment) {
        return judgment.questionId() + " " + judgment.turn();
    }

    /**
     * Returns the judgment of a turn, if the file has it.
     *
     * @throws BadDatasetException if it was asked for in another way
     */
    Optional<Judgment> of(int question, int turn, String model, List<String> judge, String system, String user) {
        Optional<Judgment> found = Optional.ofNullable(judgments.get(question + " " + turn));
        found.filter(one -> !one.model().equals(model)
                        || !one.judge().equals(judge)
                        || !one.systemPrompt().equals(system)
                        || !one.userPrompt().equals(user))
                .ifPresent(one -> {
                    throw new BadDatasetException(file + ": question " + question + ", turn " + turn
                            + " was graded by " + one.judge() + " for " + one.model()
                            + ", with another answer or prompt if the names are the same; this run asks " + judge
                            + " for " + model + "; give the same options or another file");
                });
        return found;
    }

    /** Adds a judgment and waits until it is on the disk. */
    void add(Judgment judgment) {
        lines.add(judgment);
        judgments.put(key(judgment), judgment);
    }

    @Override
    public void close() {
        lines.close();
    }
}
