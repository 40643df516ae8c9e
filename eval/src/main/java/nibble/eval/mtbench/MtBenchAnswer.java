package nibble.eval.mtbench;

import com.fasterxml.jackson.databind.annotation.JsonDeserialize;
import java.util.List;
import nibble.files.digest.Sha256;

/**
 * Holds one line of FastChat's {@code model_answer/MODEL.jsonl}.
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

        @JsonDeserialize(using = MtBenchSettings.Reader.class)
        MtBenchSettings settings) {
    /** FastChat's ids have 22 characters. */
    private static final int ID_LENGTH = 22;

    /**
     * Holds an answer to a whole conversation.
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
        String sha256 =
                new Sha256().add(questionId + "\n" + modelId + "\n" + choices).hex();
        return new MtBenchAnswer(questionId, sha256.substring(0, ID_LENGTH), modelId, choices, tstamp, settings);
    }
}
