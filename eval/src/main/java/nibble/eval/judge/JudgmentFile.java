package nibble.eval.judge;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.PropertyNamingStrategies;
import com.fasterxml.jackson.databind.json.JsonMapper;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import nibble.datasets.BadDatasetException;
import nibble.files.Reasons;
import nibble.files.output.DurableLines;

/** Writes a file of judgments while it grows: each is on the disk before the next answer is graded. */
public final class JudgmentFile implements AutoCloseable {
    private static final ObjectMapper JSON = JsonMapper.builder()
            .propertyNamingStrategy(PropertyNamingStrategies.SNAKE_CASE)
            .enable(DeserializationFeature.FAIL_ON_MISSING_CREATOR_PROPERTIES)
            .build();

    private static final Pattern BEGINNING = Pattern.compile("\\{\"question_id\":\\d+,\"model\":\".*");

    private final Path file;
    private final DurableLines lines;
    private final Map<String, Judgment> judgments = new LinkedHashMap<>();

    private JudgmentFile(Path file, DurableLines lines) {
        this.file = file;
        this.lines = lines;
    }

    /**
     * Opens a file that is not there yet or that an earlier run began.
     *
     * @throws BadDatasetException if anything in it is no judgment
     */
    public static JudgmentFile open(Path file) {
        try {
            JudgmentFile opened = new JudgmentFile(file, DurableLines.read(file));
            int number = 0;
            for (String line : opened.lines.found()) {
                opened.know(judgment(file + ": line " + ++number, line));
            }
            Matcher rest = BEGINNING.matcher(opened.lines.rest());
            if (!opened.lines.rest().isEmpty() && !rest.matches() && !rest.hitEnd()) {
                throw new BadDatasetException(
                        file + ": line " + ++number + ": no judgment of this program; give another file");
            }
            return opened;
        } catch (IOException e) {
            throw new UncheckedIOException(file + ": cannot be opened: " + Reasons.of(e), e);
        }
    }

    private static Judgment judgment(String where, String line) {
        try {
            return JSON.readValue(line, Judgment.class);
        } catch (JsonProcessingException e) {
            throw new BadDatasetException(
                    where + ": no judgment of this program: " + Reasons.of(e) + "; give another file", e);
        }
    }

    private void know(Judgment judgment) {
        judgments.put(judgment.questionId() + " " + judgment.turn(), judgment);
    }

    /**
     * Returns the judgment of a turn, if the file has it.
     *
     * @throws BadDatasetException if it was asked for in another way
     */
    Optional<Judgment> of(int question, int turn, String model, List<String> judge, String prompt) {
        Optional<Judgment> found = Optional.ofNullable(judgments.get(question + " " + turn));
        found.filter(one -> !one.model().equals(model)
                        || !one.judge().equals(judge)
                        || !one.userPrompt().equals(prompt))
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
        try {
            lines.add(List.of(JSON.writeValueAsString(judgment)));
            know(judgment);
        } catch (IOException e) {
            throw new UncheckedIOException(file + ": cannot be written: " + Reasons.of(e), e);
        }
    }

    /** Returns all judgments. */
    List<Judgment> all() {
        return new ArrayList<>(judgments.values());
    }

    @Override
    public void close() {
        try {
            lines.close();
        } catch (IOException e) {
            throw new UncheckedIOException(file + ": cannot be closed: " + Reasons.of(e), e);
        }
    }
}
