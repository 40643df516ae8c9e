package nibble.cli;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.stream.Stream;
import nibble.cli.terminal.ExitCode;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** A model whose rope has other factors beyond 64 tokens, and texts of 100. */
class LongRopeTextTest {
    private static final ObjectMapper JSON = new ObjectMapper();

    @TempDir
    @SuppressWarnings("NullAway.Init")
    private Path folder;

    /** Up to 64 tokens longrope of this model takes its short factors; keys in a cache would have to turn anew. */
    @Test
    void longer_text_than_a_batch_of_a_longrope_model_takes_is_rejected_with_the_length() throws IOException {
        Path model = TinyModel.copy(folder, "phi4-mini");
        String text = "The nibble is four bits. ".repeat(4);
        Path prompts = folder.resolve("prompts.jsonl");
        Files.writeString(
                prompts, JSON.writeValueAsString(JSON.createObjectNode().put("prompt", text)));
        Path answers = folder.resolve("answers.jsonl");

        TinyModel.run("generate", model, "--prompt", text, "--max-new-tokens", "1");
        assertThat(rejected("generate", model, "--prompt", text, "--kv-cache-dtype", "int8"))
                .contains("the model's context of 64 must hold them and the answer");
        assertThat(rejected("generate", model, "--prompts", prompts, "--json", answers))
                .contains("the model's context of 64 must hold them and the answer");
        assertThat(rejected("eval", "perplexity", model, "--context", "65", "--kv-cache-dtype", "int8"))
                .contains("--context 65: the model was made for 64 tokens at most with keys in a cache");
    }

    private static String rejected(Object... arguments) {
        TerminalCapture terminal = new TerminalCapture();
        assertThat(terminal.run(Stream.of(arguments).map(Object::toString).toArray(String[]::new)))
                .as(terminal.err())
                .isEqualTo(ExitCode.WRONG_USAGE);
        return terminal.err();
    }
}
