package nibble.eval.mtbench;

import java.util.ArrayList;
import java.util.List;
import nibble.datasets.chat.ChatMessage;
import nibble.datasets.mtbench.MtBenchQuestion;
import nibble.engine.SamplingOptions;

/** Holds one conversation about a question: what was said, and how the next turn is asked for. */
final class Conversation {
    private final MtBenchQuestion question;
    private final MtBenchSettings settings;
    private final int choice;
    private final List<ChatMessage> said = new ArrayList<>();
    private final List<String> turns = new ArrayList<>();

    /** @param choice number of this answer among several to the same question */
    Conversation(MtBenchQuestion question, MtBenchSettings settings, int choice) {
        this.question = question;
        this.settings = settings;
        this.choice = choice;
        if (!settings.system().isEmpty()) {
            said.add(ChatMessage.system(settings.system()));
        }
        ask();
    }

    private void ask() {
        said.add(ChatMessage.user(question.turns().get(turns.size())));
    }

    /** Returns what the model is to answer now. */
    List<ChatMessage> said() {
        return said;
    }

    SamplingOptions sampling() {
        return new SamplingOptions(
                MtBench.temperature(question.category()),
                settings.topP(),
                settings.topK(),
                1,
                MtBench.seed(settings.seed(), question, choice, turns.size()));
    }

    /**
     * Takes the model's answer, and asks the next question.
     *
     * @return false if there is none
     */
    boolean answered(String answer) {
        turns.add(answer.strip());
        if (turns.size() == question.turns().size()) {
            return false;
        }
        said.add(ChatMessage.assistant(turns.getLast()));
        ask();
        return true;
    }

    MtBenchQuestion question() {
        return question;
    }

    int choice() {
        return choice;
    }

    /** Returns the model's turns. */
    List<String> turns() {
        return turns;
    }
}
