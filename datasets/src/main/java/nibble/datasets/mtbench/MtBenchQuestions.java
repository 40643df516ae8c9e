package nibble.datasets.mtbench;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import nibble.datasets.BadDatasetException;
import nibble.datasets.Utf8File;
import nibble.files.Reasons;

/** Reads questions in FastChat's {@code question.jsonl}: one JSON object a line. */
public final class MtBenchQuestions {
    /** SHA-256 of the bundled file. */
    static final String SHA256 = "f724c8a3c19afee8fff0a9dd5273919ebfee3209b395680fde63c1e0b73771be";

    private static final long MAX_BYTES = 16L << 20;
    private static final ObjectMapper JSON = new ObjectMapper();

    private MtBenchQuestions() {}

    /** Returns the 80 published questions, which come with Nibble (Apache-2.0, see the README beside them). */
    public static List<MtBenchQuestion> bundled() {
        try (InputStream in = MtBenchQuestions.class.getResourceAsStream("question.jsonl")) {
            if (in == null) {
                throw new BadDatasetException(
                        "bundled mtbench/question.jsonl is missing from this build; build Nibble again");
            }
            return parse("bundled mtbench/question.jsonl", new String(in.readAllBytes(), StandardCharsets.UTF_8));
        } catch (IOException e) {
            throw new BadDatasetException(
                    "bundled mtbench/question.jsonl cannot be read: " + Reasons.of(e) + "; build Nibble again", e);
        }
    }

    /**
     * Reads questions of one's own in the same layout.
     *
     * @throws BadDatasetException naming file and line, if the file cannot be read or a line is no question
     */
    public static List<MtBenchQuestion> file(Path file) {
        return parse(file.toString(), Utf8File.read(file, MAX_BYTES).text());
    }

    private static List<MtBenchQuestion> parse(String name, String text) {
        List<MtBenchQuestion> questions = new ArrayList<>();
        Set<Integer> ids = new HashSet<>();
        int number = 0;
        for (String line : text.split("\n", -1)) {
            number++;
            if (line.isBlank()) {
                continue;
            }
            MtBenchQuestion question = question(name + ": line " + number, line);
            if (!ids.add(question.id())) {
                throw new BadDatasetException(
                        name + ": line " + number + ": question_id " + question.id() + " occurs twice");
            }
            questions.add(question);
        }
        if (questions.isEmpty()) {
            throw new BadDatasetException(name + ": no question in it; expected one JSON object a line");
        }
        return questions;
    }

    private static MtBenchQuestion question(String where, String line) {
        JsonNode json;
        try {
            json = JSON.readTree(line);
        } catch (JsonProcessingException e) {
            throw new BadDatasetException(where + ": not JSON: " + Reasons.of(e), e);
        }
        List<String> turns = texts(json.path("turns"));
        if (!json.path("question_id").isInt()
                || !json.path("category").isTextual()
                || turns.isEmpty()
                || turns.size() != json.path("turns").size()) {
            throw new BadDatasetException(where
                    + ": expected an integer question_id, a text category and a list of texts turns, found " + json);
        }
        return new MtBenchQuestion(
                json.path("question_id").intValue(),
                json.path("category").asText(),
                turns,
                texts(json.path("reference")));
    }

    private static List<String> texts(JsonNode list) {
        List<String> texts = new ArrayList<>();
        for (JsonNode one : list) {
            if (one.isTextual()) {
                texts.add(one.asText());
            }
        }
        return texts;
    }
}
