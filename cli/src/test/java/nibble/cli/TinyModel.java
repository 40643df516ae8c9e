package nibble.cli;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;
import nibble.checkpoint.model.ModelConfig;
import nibble.cli.terminal.ExitCode;

/** Tiny random models of all architectures, and commands on them in this process. */
public final class TinyModel {
    private static final Path MODELS =
            Path.of(System.getProperty("nibble.root"), "checkpoint", "src", "test", "resources", "architectures");
    private static final ObjectMapper JSON = new ObjectMapper();

    private TinyModel() {}

    /** Returns the names of all that have no experts. */
    static List<String> dense() throws IOException {
        try (Stream<Path> folders = Files.list(MODELS)) {
            return folders.filter(Files::isDirectory)
                    .filter(folder -> ModelConfig.read(folder.resolve("config.json"))
                            .experts()
                            .isEmpty())
                    .map(folder -> folder.getFileName().toString())
                    .sorted()
                    .toList();
        }
    }

    /** Makes a model's folder in another, and {@code text.txt} beside it. */
    public static Path copy(Path folder, String name) throws IOException {
        Path model = Files.createDirectory(folder.resolve(name));
        for (String file : List.of("config.json", "model.safetensors")) {
            Files.copy(MODELS.resolve(name).resolve(file), model.resolve(file));
        }
        Files.copy(MODELS.resolve("tokenizer.json"), model.resolve("tokenizer.json"));
        Files.writeString(
                model.resolve("tokenizer_config.json"),
                "{\"bos_token\":\"<s>\",\"eos_token\":\"</s>\",\"add_bos_token\":false}");
        Files.writeString(folder.resolve("text.txt"), "The nibble is four bits, and four bits are enough. ".repeat(40));
        return model;
    }

    /** The perplexity of two windows of a text. */
    public static double perplexity(Path model, Path text, String context, String device) throws IOException {
        return json(
                        "eval",
                        "perplexity",
                        model,
                        "--dataset",
                        text,
                        "--context",
                        context,
                        "--windows",
                        "2",
                        "--device",
                        device,
                        "--json",
                        "-")
                .get("perplexity")
                .asDouble();
    }

    /** The plan of a run with four short blocks of a text: the default, wikitext-2, would be encoded each time. */
    static JsonNode plan(Path model, Path text, String... options) throws IOException {
        Object[] blocks = {"plan", model, "--group-size", "32", "--samples", "4", "--seq-len", "32"};
        Object[] source = {"--calibration", text, "--json", "-"};
        return json(Stream.of(blocks, source, options).flatMap(Stream::of).toArray());
    }

    static JsonNode json(Object... arguments) throws IOException {
        return JSON.readTree(run(arguments));
    }

    public static String run(Object... arguments) {
        TerminalCapture terminal = new TerminalCapture();
        String[] words = Stream.of(arguments).map(Object::toString).toArray(String[]::new);
        assertThat(terminal.run(words))
                .as("%s%n%s%s", List.of(words), terminal.err(), terminal.out())
                .isEqualTo(ExitCode.DONE);
        return terminal.out();
    }
}
