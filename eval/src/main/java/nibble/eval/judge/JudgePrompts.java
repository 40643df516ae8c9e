package nibble.eval.judge;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import nibble.datasets.BadDatasetException;
import nibble.datasets.Utf8File;
import nibble.datasets.mtbench.MtBenchQuestion;
import nibble.files.Reasons;

/**
 * Holds the four texts that ask for a grade, in the layout of FastChat's {@code judge_prompts.jsonl}: for an answer,
 * for the second of two, and both with reference answers.
 *
 * @param source where they come from
 * @param sha256 of the file
 */
public record JudgePrompts(String source, String sha256, Map<String, JudgePrompt> prompts) {
    private static final String BUNDLED = "judge-prompts.jsonl";
    private static final long MAX_BYTES = 4L << 20;
    private static final ObjectMapper JSON = new ObjectMapper();

    /** Categories that are graded beside reference answers, as in FastChat. */
    private static final List<String> REFERENCED = List.of("math", "reasoning", "coding");

    private static final List<String> NEEDED =
            List.of("single-v1", "single-v1-multi-turn", "single-math-v1", "single-math-v1-multi-turn");

    /** Returns Nibble's own. */
    public static JudgePrompts bundled() {
        try (InputStream in = JudgePrompts.class.getResourceAsStream(BUNDLED)) {
            if (in == null) {
                throw new BadDatasetException("bundled " + BUNDLED + " is missing from this build; build Nibble again");
            }
            return parse("nibble", new String(in.readAllBytes(), StandardCharsets.UTF_8));
        } catch (IOException e) {
            throw new BadDatasetException("bundled " + BUNDLED + " cannot be read: " + Reasons.of(e), e);
        }
    }

    /**
     * Reads a file, such as FastChat's.
     *
     * @throws BadDatasetException if it cannot be read, or lacks one of the four
     */
    public static JudgePrompts file(Path file) {
        return parse(file.toString(), Utf8File.read(file, MAX_BYTES).text());
    }

    private static JudgePrompts parse(String source, String text) {
        Map<String, JudgePrompt> found = new HashMap<>();
        int number = 0;
        for (String line : text.split("\n", -1)) {
            number++;
            if (line.isBlank()) {
                continue;
            }
            JsonNode json;
            try {
                json = JSON.readTree(line);
            } catch (JsonProcessingException e) {
                throw new BadDatasetException(source + ": line " + number + ": not JSON: " + Reasons.of(e), e);
            }
            String name = json.path("name").asText();
            if (NEEDED.contains(name)) {
                if (!json.path("system_prompt").isTextual()
                        || !json.path("prompt_template").isTextual()
                        || !json.path("output_format").asText().equals("[[rating]]")) {
                    throw new BadDatasetException(source + ": line " + number + ": " + name
                            + " needs system_prompt, prompt_template and the output_format [[rating]]");
                }
                found.put(
                        name,
                        new JudgePrompt(
                                name,
                                json.path("system_prompt").asText(),
                                json.path("prompt_template").asText()));
            }
        }
        for (String name : NEEDED) {
            if (!found.containsKey(name)) {
                throw new BadDatasetException(
                        source + ": no prompt " + name + "; expected lines as in FastChat's judge_prompts.jsonl");
            }
        }
        return new JudgePrompts(source, Utf8File.sha256(text.getBytes(StandardCharsets.UTF_8)), Map.copyOf(found));
    }

    static boolean needsReference(MtBenchQuestion question) {
        return REFERENCED.contains(question.category());
    }

    /** The one for a turn, 1 or 2. */
    JudgePrompt of(int turn, boolean referenced) {
        String name = (referenced ? "single-math-v1" : "single-v1") + (turn == 1 ? "" : "-multi-turn");
        JudgePrompt prompt = prompts.get(name);
        if (prompt == null) {
            throw new IllegalStateException(name);
        }
        return prompt;
    }
}
