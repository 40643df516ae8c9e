package nibble.cli;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;
import nibble.cli.terminal.ExitCode;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Chat templates travel with a model through every format, and are used from each. */
class ChatTemplateFilesTest {
    private static final Path MODEL = Path.of(System.getProperty("nibble.root"), "models", "wiki-7m");
    private static final String DEFAULT = "{{ bos_token }}{{ messages[-1].content }}\n";
    private static final String TOOLS = "{{ bos_token }}{{ (tools or []) | length }} tools\n";

    @TempDir
    @SuppressWarnings("NullAway.Init")
    private Path folder;

    private Path model;

    @BeforeEach
    void aModelWithTwoTemplates() throws IOException {
        model = Files.createDirectory(folder.resolve("model"));
        try (Stream<Path> files = Files.list(MODEL)) {
            for (Path file : files.toList()) {
                Files.copy(file, model.resolve(file.getFileName()));
            }
        }
        Files.writeString(model.resolve("chat_template.jinja"), DEFAULT);
        Files.createDirectory(model.resolve("additional_chat_templates"));
        Files.writeString(model.resolve("additional_chat_templates/tool_use.jinja"), TOOLS);
    }

    private static String run(int exitCode, String... arguments) {
        TerminalCapture terminal = new TerminalCapture();
        assertThat(terminal.run(arguments))
                .as(String.join(" ", arguments) + "\n" + terminal.err())
                .isEqualTo(exitCode);
        return terminal.out() + terminal.err();
    }

    private String text(Path from, String... more) throws IOException {
        String messages = Files.writeString(
                        folder.resolve("m.json"), "[{\"role\": \"user\", \"content\": \"The city of\"}]")
                .toString();
        TerminalCapture terminal = new TerminalCapture();
        String[] arguments = Stream.concat(
                        Stream.of("tokenize", from.toString(), "--messages", messages, "--json", "-"), Stream.of(more))
                .toArray(String[]::new);
        assertThat(terminal.run(arguments)).as(terminal.err()).isEqualTo(ExitCode.DONE);
        return new ObjectMapper().readTree(terminal.out()).path("text").asText();
    }

    /** false is JSON's, 2 a number, plain a text. */
    @Test
    void generate_gives_a_template_the_values_that_set_names() throws IOException {
        Files.writeString(
                model.resolve("chat_template.jinja"),
                "{{ bos_token }}{{ messages[-1].content }}{% if enable_thinking is false %} off{% endif %} {{ style }}"
                        + " {{ n + 1 }}");
        String[] command = {"generate", model.toString(), "--prompt", "The", "--max-new-tokens", "1", "--show-prompt"};
        String[] values = {"--set", "enable_thinking=false", "--set", "style=plain", "--set", "n=2"};
        String[] both = Stream.concat(Stream.of(command), Stream.of(values)).toArray(String[]::new);
        assertThat(run(ExitCode.WRONG_USAGE, both)).contains("--set needs --template or --chat");
        String[] all =
                Stream.concat(Stream.of(both), Stream.of("--template", "model")).toArray(String[]::new);
        assertThat(run(ExitCode.DONE, all)).startsWith("<s>The off plain 3\n\n1\t<s>\n");
    }

    @Test
    void named_templates_go_into_gguf_and_out_of_it_and_are_chosen_there_too() throws IOException {
        String tools = Files.writeString(folder.resolve("t.json"), "[{\"name\": \"f\"}, {\"name\": \"g\"}]")
                .toString();
        run(
                ExitCode.DONE,
                "convert",
                model.toString(),
                folder.resolve("gguf").toString(),
                "--format",
                "gguf",
                "--type",
                "Q4_0");
        Path gguf;
        try (Stream<Path> files = Files.list(folder.resolve("gguf"))) {
            gguf = files.filter(file -> file.toString().endsWith(".gguf"))
                    .findFirst()
                    .orElseThrow();
        }
        Path back = folder.resolve("back");
        run(ExitCode.DONE, "convert", gguf.toString(), back.toString(), "--format", "safetensors");
        JsonNode config = new ObjectMapper()
                .readTree(back.resolve("tokenizer_config.json").toFile());
        assertThat(config.path("chat_template"))
                .hasToString("[{\"name\":\"default\",\"template\":\"{{ bos_token }}{{ messages[-1].content }}\\n"
                        + "\"},{\"name\":\"tool_use\",\"template\":\"{{ bos_token }}{{ (tools or []) | length }}"
                        + " tools\\n"
                        + "\"}]");
        for (Path from : List.of(model, gguf, back)) {
            assertThat(text(from)).isEqualTo("<s>The city of");
            assertThat(text(from, "--tools", tools)).isEqualTo("<s>2 tools");
            assertThat(text(from, "--template", "tool_use")).isEqualTo("<s>0 tools");
        }
        assertThat(run(
                        ExitCode.DONE,
                        "generate",
                        gguf.toString(),
                        "--template",
                        "model",
                        "--prompt",
                        "The city of",
                        "--max-new-tokens",
                        "1",
                        "--show-prompt"))
                .startsWith("<s>The city of\n\n1\t<s>\n329\t▁The\n956\t▁city\n278\t▁of\n\n");
    }

    @Test
    void named_templates_are_carried_over_as_side_files_and_a_broken_one_is_said() throws IOException {
        Path half = folder.resolve("half");
        run(ExitCode.DONE, "convert", model.toString(), half.toString(), "--format", "safetensors");
        assertThat(half.resolve("additional_chat_templates/tool_use.jinja")).hasContent(TOOLS.strip());
        Path quantized = folder.resolve("awq");
        run(ExitCode.DONE, "quantize", model.toString(), quantized.toString(), "--method", "rtn", "--group-size", "32");
        assertThat(quantized.resolve("additional_chat_templates/tool_use.jinja"))
                .hasContent(TOOLS.strip());
        assertThat(run(ExitCode.DONE, "verify", quantized.toString())).doesNotContain("chat-template");
        Files.writeString(quantized.resolve("additional_chat_templates/tool_use.jinja"), "{% for %}");
        assertThat(run(ExitCode.DONE, "verify", quantized.toString()))
                .contains("the chat template \"tool_use\" does not parse, so no server renders it: line 1");
    }
}
