package nibble.eval.mtbench;

import java.util.List;
import java.util.SplittableRandom;
import nibble.datasets.mtbench.MtBenchQuestion;

/**
 * Asks a model MT-bench's questions by FastChat's rules (fastchat/llm_judge): both turns in one conversation, the
 * temperature by the question's category, the answers' surrounding white space stripped.
 *
 * <p>Judging is not done here. Random draws are Java's, so sampled answers are not those that another engine draws.
 */
public final class MtBench {
    private MtBench() {}

    /** Returns FastChat's temperature for a category; 0 takes the likeliest token each time. */
    public static double temperature(String category) {
        return switch (category) {
            case "extraction", "math", "coding", "reasoning" -> 0;
            case "stem", "humanities" -> 0.1;
            default -> 0.7; // writing, roleplay, and what FastChat does not know
        };
    }

    /**
     * Answers one conversation.
     *
     * @param choice number of this answer among several to the same question
     * @return the model's turns, as many as the question has
     */
    public static List<String> answer(ChatModel model, MtBenchQuestion question, MtBenchSettings settings, int choice) {
        Conversation conversation = new Conversation(question, settings, choice);
        boolean asked = true;
        while (asked) {
            asked = conversation.answered(
                    model.answer(conversation.said(), conversation.sampling(), settings.maxNewTokens()));
        }
        return conversation.turns();
    }

    /** One seed for each turn, so that an answer does not depend on what was asked before it or in an earlier run. */
    static long seed(long seed, MtBenchQuestion question, int choice, int turn) {
        long position = ((long) question.id() << 32) + ((long) choice << 16) + turn;
        return new SplittableRandom(seed).nextLong() ^ new SplittableRandom(position).nextLong();
    }
}
