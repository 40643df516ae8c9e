package nibble.cli;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import nibble.cli.terminal.ExitCode;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What commands do with a model that takes images too: they read its decoder of text, and write that alone. */
class TextPartCommandsTest {
    private static final Path MODEL =
            Path.of(System.getProperty("nibble.root"), "checkpoint", "src", "test", "resources", "vision", "gemma3");

    @TempDir
    @SuppressWarnings("NullAway.Init")
    private Path folder;

    private Path model() {
        return folder.resolve("model");
    }

    @BeforeEach
    void copyModel() throws IOException {
        Files.createDirectory(model());
        for (String file : new String[] {"config.json", "model.safetensors"}) {
            Files.copy(MODEL.resolve(file), model().resolve(file));
        }
        Files.copy(MODEL.resolve("../../architectures/tokenizer.json"), model().resolve("tokenizer.json"));
        Files.writeString(
                model().resolve("tokenizer_config.json"),
                "{\"bos_token\":\"<s>\",\"eos_token\":\"</s>\",\"add_bos_token\":false}");
        Files.writeString(folder.resolve("text.txt"), "The nibble is four bits, and four bits are enough. ".repeat(40));
    }

    @Test
    void the_text_part_is_quantized_and_verified_as_a_model_of_its_own() throws IOException {
        Path awq = folder.resolve("awq");
        TerminalCapture terminal = new TerminalCapture();
        assertThat(terminal.run(
                        "quantize",
                        model().toString(),
                        awq.toString(),
                        "--method",
                        "rtn",
                        "--group-size",
                        "32",
                        "--device",
                        "cpu"))
                .isEqualTo(ExitCode.DONE);
        assertThat(terminal.err() + terminal.out()).contains("only its decoder of text is read");
        JsonNode config = new ObjectMapper().readTree(awq.resolve("config.json").toFile());
        assertThat(config.at("/architectures/0").asText()).isEqualTo("Gemma3ForCausalLM");
        assertThat(config.get("model_type").asText()).isEqualTo("gemma3_text");
        assertThat(config.has("vision_config")).isFalse();
        TinyModel.run("verify", awq, "--against", model());
        JsonNode plan = TinyModel.json("plan", model(), "--group-size", "32", "--json", "-");
        assertThat(plan.get("weight_file_bytes").asLong()).isEqualTo(Files.size(awq.resolve("model.safetensors")));
    }

    @Test
    void the_text_part_alone_has_the_same_perplexity() throws IOException {
        Path text = folder.resolve("text");
        TinyModel.run("convert", model(), text, "--format", "safetensors");
        assertThat(perplexity(text)).isEqualTo(perplexity(model()));
    }

    private double perplexity(Path of) throws IOException {
        return TinyModel.perplexity(of, folder.resolve("text.txt"), "48", "reference");
    }
}
