package nibble.eval.mtbench;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.function.BiConsumer;
import java.util.function.IntPredicate;
import nibble.datasets.mtbench.MtBenchQuestion;
import nibble.engine.Llama;
import nibble.engine.backend.MissingRowException;
import nibble.engine.batch.BatchOptions;
import nibble.engine.batch.BatchScheduler;
import nibble.engine.batch.Ending;
import nibble.engine.batch.GenerationListener;
import nibble.engine.batch.GenerationRequest;
import nibble.engine.batch.ScoredToken;
import org.jspecify.annotations.Nullable;

/** Holds many conversations at once: the next turn of one is asked while others answer. Borrows the model. */
public final class MtBenchBatch {
    private final ChatModel model;
    private final MtBenchSettings settings;
    private final BiConsumer<MtBenchQuestion, List<MtBenchAnswer.Choice>> onAnswer;
    private final BatchScheduler scheduler;
    private final Map<Integer, List<MtBenchAnswer.Choice>> made = new HashMap<>();

    private @Nullable RuntimeException failure;

    private MtBenchBatch(
            ChatModel model,
            MtBenchSettings settings,
            BatchScheduler scheduler,
            BiConsumer<MtBenchQuestion, List<MtBenchAnswer.Choice>> onAnswer) {
        this.model = model;
        this.settings = settings;
        this.scheduler = scheduler;
        this.onAnswer = onAnswer;
    }

    /**
     * Answers questions.
     *
     * @param onAnswer takes the answers to a question as soon as all of its conversations ended
     * @throws PromptTooLongException naming the question whose conversation leaves no room in the model's context
     * @throws IllegalArgumentException naming the question that has an id which the model does not have
     */
    public static void answer(
            ChatModel model,
            List<MtBenchQuestion> questions,
            MtBenchSettings settings,
            BiConsumer<MtBenchQuestion, List<MtBenchAnswer.Choice>> onAnswer) {
        int conversations = Math.multiplyExact(questions.size(), settings.choices());
        if (conversations == 0) {
            return;
        }
        Llama llama = model.model();
        BatchOptions options = BatchOptions.of(
                llama,
                settings.cache(),
                llama.backend().textsTogether(),
                conversations,
                BatchScheduler.contextTokens(llama));
        try (BatchScheduler scheduler = new BatchScheduler(llama, options)) {
            MtBenchBatch batch = new MtBenchBatch(model, settings, scheduler, onAnswer);
            for (MtBenchQuestion question : questions) {
                for (int choice = 0; choice < settings.choices(); choice++) {
                    batch.ask(new Conversation(question, settings, choice));
                }
            }
            while (batch.failure == null && scheduler.step()) {}
            if (batch.failure != null) {
                throw batch.failure;
            }
        }
    }

    private void ask(Conversation conversation) {
        try {
            int[] prompt = model.prompt(conversation.said(), scheduler.contextTokens());
            scheduler.add(
                    new GenerationRequest(prompt, conversation.sampling(), settings.maxNewTokens(), model.stopIds()),
                    new Turn(conversation));
        } catch (PromptTooLongException e) {
            throw new PromptTooLongException(place(conversation) + e.getMessage());
        } catch (MissingRowException e) {
            throw new IllegalArgumentException(place(conversation) + e.getMessage(), e);
        }
    }

    private static String place(Conversation conversation) {
        return "question " + conversation.question().id() + ": ";
    }

    private void answered(Conversation conversation, int[] ids) {
        if (conversation.answered(model.text(ids))) {
            ask(conversation);
            return;
        }
        List<MtBenchAnswer.Choice> choices =
                made.computeIfAbsent(conversation.question().id(), _ -> new ArrayList<>());
        choices.add(new MtBenchAnswer.Choice(conversation.choice(), conversation.turns()));
        if (choices.size() == settings.choices()) {
            choices.sort(Comparator.comparingInt(MtBenchAnswer.Choice::index));
            made.remove(conversation.question().id());
            onAnswer.accept(conversation.question(), choices);
        }
    }

    private final class Turn implements GenerationListener {
        private final Conversation conversation;
        private final IntPredicate goesOn = model.noStopYet();
        private final List<Integer> ids = new ArrayList<>();

        Turn(Conversation conversation) {
            this.conversation = conversation;
        }

        @Override
        public boolean token(ScoredToken token) {
            ids.add(token.id());
            return goesOn.test(token.id());
        }

        @Override
        public void ended(Ending ending) {
            if (ending == Ending.CANCELLED || failure != null) {
                return;
            }
            try {
                answered(conversation, ids.stream().mapToInt(Integer::intValue).toArray());
            } catch (RuntimeException e) {
                failure = e;
            }
        }

        @Override
        public void failed(RuntimeException cause) {
            failure = cause;
        }
    }
}
