package nibble.eval.mtbench;

import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;
import java.util.List;

/**
 * One line of FastChat's {@code model_answer/MODEL.jsonl}.
 *
 * @param questionId the question's
 * @param answerId a name of this answer, 22 characters
 * @param modelId the name judgments will have it under
 * @param choices one or more answers
 * @param tstamp seconds since 1970
 * @param settings how it was made; FastChat's readers pass over it
 */
public record MtBenchAnswer(
        int questionId,
        String answerId,
        String modelId,
        List<Choice> choices,
        double tstamp,
        MtBenchSettings settings) {
    /** FastChat's ids have 22 characters. */
    private static final int ID_LENGTH = 22;

    /**
     * An answer to a whole conversation.
     *
     * @param index from 0
     * @param turns what the model said, one text for each of the user's
     */
    public record Choice(int index, List<String> turns) {
        public Choice {
            turns = List.copyOf(turns);
        }
    }

    public MtBenchAnswer {
        choices = List.copyOf(choices);
    }

    /** An answer given now; its id follows from its content, so that the same answer has the same id again. */
    static MtBenchAnswer of(
            int questionId, String modelId, List<Choice> choices, MtBenchSettings settings, double tstamp) {
        byte[] content = (questionId + "\n" + modelId + "\n" + choices).getBytes(StandardCharsets.UTF_8);
        try {
            String id = HexFormat.of()
                    .formatHex(MessageDigest.getInstance("SHA-256").digest(content))
                    .substring(0, ID_LENGTH);
            return new MtBenchAnswer(questionId, id, modelId, choices, tstamp, settings);
        } catch (NoSuchAlgorithmException e) {
            throw new AssertionError("every Java platform has SHA-256", e);
        }
    }
}
