package nibble.cli.command;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import nibble.checkpoint.Checkpoint;
import nibble.checkpoint.vocabulary.TokenizerDescription;
import nibble.cli.option.ModelChat;
import nibble.cli.option.ModelTokenizer;
import nibble.datasets.Tokenizer;
import nibble.datasets.chat.ChatTemplate;
import nibble.datasets.chat.StopIds;
import nibble.datasets.mtbench.MtBenchQuestion;
import nibble.datasets.mtbench.MtBenchQuestions;
import nibble.engine.Backends;
import nibble.engine.Llama;
import nibble.engine.backend.Backend;
import nibble.eval.mtbench.ChatModel;
import nibble.eval.mtbench.MtBench;
import nibble.eval.mtbench.MtBenchAnswer;
import nibble.eval.mtbench.MtBenchBatch;
import nibble.eval.mtbench.MtBenchSettings;
import org.junit.jupiter.api.Test;

class MtBenchBatchTest {
    private static final Path MODEL = Path.of("..", "models", "wiki-7m");

    @Test
    void conversations_held_together_are_those_of_each_alone_and_handed_out_as_soon_as_they_end() {
        TokenizerDescription described = ModelTokenizer.describe(MODEL);
        ChatTemplate format = ModelChat.format(MODEL, "orca-hashes", false);
        MtBenchSettings settings = new MtBenchSettings(format.name(), "", 12, 1, 50, 7, 2);
        List<MtBenchQuestion> questions =
                new ArrayList<>(MtBenchQuestions.bundled().subList(18, 22));
        MtBenchQuestion last = questions.removeLast();
        questions.add(
                new MtBenchQuestion(last.id(), last.category(), last.turns().subList(0, 1), last.references()));
        try (Checkpoint checkpoint = Checkpoint.open(MODEL);
                Backend backend = Backends.open("cpu", 2);
                Tokenizer tokenizer = ModelTokenizer.open(described);
                Llama llama = Llama.load(checkpoint, backend)) {
            ChatModel chat = new ChatModel(
                    llama,
                    tokenizer,
                    format,
                    ModelChat.tokens(described),
                    StopIds.of(checkpoint, described, tokenizer, Optional.of(format)));
            List<Integer> order = new ArrayList<>();
            MtBenchBatch.answer(chat, questions, settings, (question, choices) -> {
                order.add(question.id());
                assertThat(choices).hasSize(2);
                for (MtBenchAnswer.Choice choice : choices) {
                    assertThat(choice.turns())
                            .as("question %d, choice %d", question.id(), choice.index())
                            .hasSize(question.turns().size())
                            .isEqualTo(MtBench.answer(chat, question, settings, choice.index()));
                }
            });
            assertThat(order)
                    .as("the last has one turn, the others have two")
                    .startsWith(last.id())
                    .containsExactlyInAnyOrderElementsOf(
                            questions.stream().map(MtBenchQuestion::id).toList());
        }
    }
}
