package nibble.eval.mtbench;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.PropertyNamingStrategies;
import com.fasterxml.jackson.databind.json.JsonMapper;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Path;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import nibble.datasets.BadDatasetException;
import nibble.files.Reasons;
import nibble.files.output.DurableLines;

/**
 * Writes FastChat's {@code model_answer/MODEL.jsonl} while it grows: each answer is on the disk before the next
 * question is asked. What a killed run left of an answer, a last line without its end, is cut off when the file is
 * opened again.
 */
public final class MtBenchAnswerFile implements AutoCloseable {
    private static final ObjectMapper JSON = JsonMapper.builder()
            .propertyNamingStrategy(PropertyNamingStrategies.SNAKE_CASE)
            .enable(DeserializationFeature.FAIL_ON_MISSING_CREATOR_PROPERTIES)
            .build();

    /** What every line of such a file begins with, as far as it does not depend on the answer. */
    private static final Pattern BEGINNING = Pattern.compile("\\{\"question_id\":\\d+,\"answer_id\":\"\\w+\",.*");

    private final Path file;
    private final DurableLines lines;
    private final String modelId;
    private final MtBenchSettings settings;
    private final Set<Integer> answered;

    private MtBenchAnswerFile(
            Path file, DurableLines lines, String modelId, MtBenchSettings settings, Set<Integer> answered) {
        this.file = file;
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
        try {
            DurableLines lines = DurableLines.read(file);
            Set<Integer> answered = new HashSet<>();
            int number = 0;
            for (String json : lines.found()) {
                answered.add(same(file + ": line " + ++number, json, modelId, settings));
            }
            requireBegun(file + ": line " + ++number, lines.rest());
            return new MtBenchAnswerFile(file, lines, modelId, settings, answered);
        } catch (IOException e) {
            throw new UncheckedIOException(file + ": cannot be opened: " + Reasons.of(e), e);
        }
    }

    /** What has no end of line must be what a killed run left of an answer: it is cut off later. */
    private static void requireBegun(String where, String rest) {
        Matcher form = BEGINNING.matcher(rest);
        if (!rest.isEmpty() && !form.matches() && !form.hitEnd()) {
            throw new BadDatasetException(where + ": no answer of this program; give another file");
        }
    }

    private static int same(String where, String json, String modelId, MtBenchSettings settings) {
        MtBenchAnswer answer;
        try {
            answer = JSON.readValue(json, MtBenchAnswer.class);
        } catch (JsonProcessingException e) {
            throw new BadDatasetException(
                    where + ": no answer of this program: " + Reasons.of(e) + "; give another file", e);
        }
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
        try {
            lines.add(List.of(JSON.writeValueAsString(answer)));
            answered.add(questionId);
        } catch (IOException e) {
            throw new UncheckedIOException(file + ": cannot be written: " + Reasons.of(e), e);
        }
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
