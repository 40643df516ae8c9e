package nibble.eval.judge;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import nibble.datasets.BadDatasetException;
import nibble.datasets.Utf8File;
import nibble.files.Reasons;

/**
 * Answers to grade, of one model: FastChat's {@code model_answer/MODEL.jsonl}, whoever wrote it. Of several choices to
 * a question the first counts, as there; a question that is answered twice is an error.
 *
 * @param model its name in the file
 * @param turns by the question's number
 */
public record JudgedAnswers(String model, Map<Integer, List<String>> turns) {
    private static final long MAX_BYTES = 256L << 20;
    private static final ObjectMapper JSON = new ObjectMapper();

    /**
     * Reads a file of answers.
     *
     * @throws BadDatasetException if it cannot be read, is no such file, or holds answers of several models
     */
    public static JudgedAnswers read(Path file) {
        Map<Integer, List<String>> turns = new LinkedHashMap<>();
        String model = "";
        int number = 0;
        for (String line : Utf8File.read(file, MAX_BYTES).text().split("\n", -1)) {
            String where = file + ": line " + ++number + ": ";
            if (line.isBlank()) {
                continue;
            }
            JsonNode json;
            try {
                json = JSON.readTree(line);
            } catch (JsonProcessingException e) {
                throw new BadDatasetException(where + "not JSON: " + Reasons.of(e), e);
            }
            List<String> said = new ArrayList<>();
            JsonNode first = json.path("choices").path(0).path("turns");
            first.forEach(turn -> said.add(turn.asText()));
            if (!json.path("question_id").isInt() || !json.path("model_id").isTextual() || said.isEmpty()) {
                throw new BadDatasetException(where
                        + "expected an answer with question_id, model_id and choices[0].turns, as 'nibble eval"
                        + " mt-bench' writes it");
            }
            String own = json.path("model_id").asText();
            if (!model.isEmpty() && !model.equals(own)) {
                throw new BadDatasetException(where + "an answer of " + own + " among answers of " + model
                        + "; give the answers of one model");
            }
            model = own;
            if (turns.putIfAbsent(json.path("question_id").intValue(), List.copyOf(said)) != null) {
                throw new BadDatasetException(where + "question " + json.path("question_id") + " is answered twice");
            }
        }
        if (turns.isEmpty()) {
            throw new BadDatasetException(file + ": no answer in it");
        }
        return new JudgedAnswers(model, turns);
    }
}
