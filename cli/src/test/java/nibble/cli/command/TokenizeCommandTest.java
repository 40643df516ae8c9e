package nibble.cli.command;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;
import nibble.cli.TerminalCapture;
import nibble.cli.option.ModelTokenizer;
import nibble.cli.terminal.ExitCode;
import nibble.datasets.Tokenizer;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Texts, ids and pieces are those of transformers 5.17 on the same files. */
class TokenizeCommandTest {
    private static final Path MODEL = Path.of(System.getProperty("nibble.root"), "models", "wiki-7m");
    private static final String DEFAULT =
            "{{ bos_token }}{% for m in messages %}{{ '[' ~ m.role ~ '] ' }}{{ m.content if m.content is string else"
                    + " m.content | map(attribute='text') | join(' ') }}{{ eos_token }}{% endfor %}{% if"
                    + " add_generation_prompt %}[assistant]{% if enable_thinking is defined and not enable_thinking %}"
                    + " quick{% endif %}{% endif %}\n";
    private static final String TOOLS =
            "{{ bos_token }}{{ tools | tojson }}{% for m in messages %}[{{ m.role }}]{{ m.content or '' }}{% for t in"
                    + " m.tool_calls or [] %}{{ t.function.name }}({{ t.function.arguments | tojson }}){% endfor %}{%"
                    + " endfor %}\n";
    private static final String PARTS =
            "[{\"role\":\"system\",\"content\":\"Be brief.\"},{\"role\":\"user\",\"content\":"
                    + "[{\"type\":\"text\",\"text\":\"The city\"},{\"type\":\"text\",\"text\":\"of é\"}]}]";
    private static final String CALLS =
            "[{\"role\":\"user\",\"content\":\"Sum?\"},{\"role\":\"assistant\",\"content\":null,\"tool_calls\":"
                + "[{\"type\":\"function\",\"function\":{\"name\":\"add\",\"arguments\":{\"a\":1,\"b\":[2.5,true,null]}}}]},"
                + "{\"role\":\"tool\",\"content\":\"3\"}]";
    private static final String ADD = "[{\"type\":\"function\",\"function\":{\"name\":\"add\",\"description\":\"Adds"
            + " <b>\",\"parameters\":{\"type\":\"object\",\"properties\":{}}}}]";

    @TempDir
    @SuppressWarnings("NullAway.Init")
    private Path folder;

    @BeforeEach
    void aTokenizerWithTwoTemplates() throws IOException {
        Files.copy(MODEL.resolve("tokenizer.json"), folder.resolve("tokenizer.json"));
        Files.writeString(
                folder.resolve("tokenizer_config.json"),
                "{\"bos_token\": \"<s>\", \"eos_token\": \"</s>\", \"tokenizer_class\": \"PreTrainedTokenizerFast\"}");
        Files.writeString(folder.resolve("chat_template.jinja"), DEFAULT);
        Files.createDirectory(folder.resolve("additional_chat_templates"));
        Files.writeString(folder.resolve("additional_chat_templates/tool_use.jinja"), TOOLS);
    }

    private String file(String name, String content) throws IOException {
        return Files.writeString(folder.resolve(name), content).toString();
    }

    private JsonNode json(String... arguments) throws IOException {
        return new ObjectMapper()
                .readTree(run(
                                ExitCode.DONE,
                                Stream.concat(Stream.of(arguments), Stream.of("--json", "-"))
                                        .toArray(String[]::new))
                        .out());
    }

    private TerminalCapture run(int exitCode, String... arguments) {
        TerminalCapture terminal = new TerminalCapture();
        String[] all = Stream.concat(Stream.of("tokenize", folder.toString()), Stream.of(arguments))
                .toArray(String[]::new);
        assertThat(terminal.run(all))
                .as(String.join(" ", all) + "\n" + terminal.err())
                .isEqualTo(exitCode);
        return terminal;
    }

    @Test
    void a_prompt_is_shown_with_its_ids_and_pieces() {
        assertThat(run(ExitCode.DONE, "--prompt", "The city of").out())
                .isEqualTo("The city of\n\n1\t<s>\n329\t▁The\n956\t▁city\n278\t▁of\n");
    }

    /** A tokenizer.json is what holds: flags of the config beside it change nothing in transformers 5.17. */
    @Test
    void an_eos_that_the_post_processor_puts_behind_a_text_is_shown() throws IOException {
        Files.writeString(
                folder.resolve("tokenizer.json"),
                Files.readString(MODEL.resolve("tokenizer.json"))
                        .replaceFirst("(?s)\"post_processor\"\\s*:.*?(,\\s*\"decoder\")", """
                            "post_processor": {"type": "TemplateProcessing",
                              "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}},
                                         {"SpecialToken": {"id": "</s>", "type_id": 0}}],
                              "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
                              "special_tokens": {"<s>": {"id": "<s>", "ids": [1], "tokens": ["<s>"]},
                                                 "</s>": {"id": "</s>", "ids": [2], "tokens": ["</s>"]}}}$1\
                            """));
        file("tokenizer_config.json", "{\"bos_token\": \"<s>\", \"eos_token\": \"</s>\", \"add_eos_token\": false}");
        assertThat(json("--prompt", "The city").path("ids")).hasToString("[1,329,956,2]");
        assertThat(json("--prompt", "").path("ids")).hasToString("[1,2]");
        assertThat(json("--messages", file("m.json", PARTS)).path("text").asText())
                .isEqualTo("<s>[system] Be brief.</s>[user] The city of é</s>[assistant]");
        try (Tokenizer tokenizer = ModelTokenizer.open(folder)) {
            assertThat(tokenizer.encode("The city", true))
                    .as("what is calibrated with, measured or continued")
                    .containsExactly(1, 329, 956);
        }
    }

    @Test
    void an_eos_that_the_config_asks_of_a_sentencepiece_model_is_shown() throws IOException {
        Files.delete(folder.resolve("tokenizer.json"));
        Files.copy(MODEL.resolve("tokenizer.model"), folder.resolve("tokenizer.model"));
        String config =
                "{\"bos_token\":\"<s>\",\"eos_token\":\"</s>\",\"tokenizer_class\":\"LlamaTokenizer\",\"add_eos_token\":true";
        file("tokenizer_config.json", config + "}");
        assertThat(json("--prompt", "The city").path("ids")).hasToString("[329,956,2]");
        file("tokenizer_config.json", config + ",\"add_bos_token\":true}");
        assertThat(json("--prompt", "The city").path("ids")).hasToString("[1,329,956,2]");
        try (Tokenizer tokenizer = ModelTokenizer.open(folder)) {
            assertThat(tokenizer.encode("The city", true)).containsExactly(1, 329, 956);
        }
    }

    @Test
    void a_conversation_goes_through_the_models_template_and_gets_no_second_bos() throws IOException {
        JsonNode found = json("--messages", file("m.json", PARTS), "--set", "enable_thinking=false");
        assertThat(found.path("text").asText())
                .isEqualTo("<s>[system] Be brief.</s>[user] The city of é</s>[assistant] quick");
        assertThat(found.path("ids"))
                .hasToString(
                        "[1,1969,1896,731,4051,1277,3923,3993,2,1969,323,264,4051,329,956,278,3971,4048,2,1969,510,364,433,4051,3129]");
        assertThat(found.path("pieces"))
                .hasToString(
                        "[\"<s>\",\"▁[\",\"sy\",\"stem\",\"]\",\"▁Be\",\"▁brief\",\".\",\"</s>\",\"▁[\",\"us\",\"er\",\"]\",\"▁The\",\"▁city\","
                            + "\"▁of\",\"▁\",\"é\",\"</s>\",\"▁[\",\"ass\",\"ist\",\"ant\",\"]\",\"▁quick\"]");
        assertThat(json("--messages", file("m.json", PARTS), "--set", "enable_thinking=no")
                        .path("text")
                        .asText())
                .as("text that is not JSON is text, and true")
                .endsWith("[assistant]");
        assertThat(json("--messages", file("m.json", PARTS), "--set", "add_generation_prompt=false")
                        .path("text")
                        .asText())
                .endsWith("of é</s>");
    }

    @Test
    void with_tools_the_template_for_tools_is_taken_unless_another_is_asked_for() throws IOException {
        String messages = file("m.json", CALLS);
        String tools = file("t.json", ADD);
        String expected =
                "<s>[{\"type\": \"function\", \"function\": {\"name\": \"add\", \"description\": \"Adds <b>\","
                    + " \"parameters\": {\"type\": \"object\", \"properties\": {}}}}][user]Sum?[assistant]add({\"a\":"
                    + " 1, \"b\": [2.5, true, null]})[tool]3";
        assertThat(json("--messages", messages, "--tools", tools).path("text").asText())
                .isEqualTo(expected);
        assertThat(json("--messages", file("o.json", "{\"messages\":" + CALLS + ",\"tools\":" + ADD + "}"))
                        .path("text")
                        .asText())
                .isEqualTo(expected);
        assertThat(json("--messages", file("p.json", PARTS), "--template", "tool_use")
                        .path("text")
                        .asText())
                .startsWith("<s>null[system]Be");
        assertThat(json("--messages", file("p.json", PARTS), "--tools", tools, "--template", "default")
                        .path("text")
                        .asText())
                .startsWith("<s>[system] Be");
        assertThat(json("--prompt", "Hi", "--template", "chatml").path("text").asText())
                .isEqualTo("<s><|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n");
    }

    @Test
    void many_lines_are_answered_in_their_order_and_a_bad_one_in_its_place() throws IOException {
        String lines = file(
                "l.jsonl",
                "{\"prompt\": \"The city of\"}\n\n{\"messages\": " + PARTS + ", \"enable_thinking\": false}\n"
                        + "{\"messages\": " + PARTS + ", \"chat_template_kwargs\": {\"enable_thinking\": false}}\n"
                        + "{\"messages\": " + CALLS + ", \"tools\": " + ADD + "}\n{\"messages\": 3}\n");
        TerminalCapture terminal = run(ExitCode.BAD_INPUT, "--jsonl", lines);
        List<String> out = terminal.out().lines().toList();
        assertThat(out).hasSize(5);
        assertThat(out.get(0))
                .isEqualTo("{\"text\":\"The city"
                        + " of\",\"ids\":[1,329,956,278],\"pieces\":[\"<s>\",\"▁The\",\"▁city\",\"▁of\"]}");
        assertThat(out.get(1))
                .startsWith("{\"text\":\"<s>[system] Be brief.</s>[user] The city of é</s>[assistant]"
                        + " quick\",\"ids\":[1,1969,");
        assertThat(out.get(2)).isEqualTo(out.get(1));
        assertThat(out.get(3)).startsWith("{\"text\":\"<s>[{\\\"type\\\": ");
        assertThat(out.get(4)).contains("\"error\":", "line 6", "expected a list of messages");
        assertThat(terminal.err()).contains("5 lines, of which 1 could not be rendered");
    }

    @Test
    void what_is_not_there_or_does_not_fit_is_said() throws IOException {
        assertThat(run(ExitCode.WRONG_USAGE).err()).contains("give one of --prompt");
        assertThat(run(ExitCode.WRONG_USAGE, "--prompt", "x", "--messages", file("p.json", PARTS))
                        .err())
                .contains("give one of");
        assertThat(run(ExitCode.WRONG_USAGE, "--prompt", "x", "--set", "a=1").err())
                .contains("are for a template");
        assertThat(run(
                                ExitCode.BAD_INPUT,
                                "--messages",
                                folder.resolve("none.json").toString())
                        .err())
                .contains("none.json: no such file");
        assertThat(run(ExitCode.BAD_INPUT, "--messages", file("b.json", "[{]")).err())
                .contains("b.json: is no JSON");
        assertThat(run(ExitCode.BAD_INPUT, "--messages", file("b.json", "[{\"content\": \"x\"}]"))
                        .err())
                .contains("a \"role\"");
        assertThat(run(ExitCode.WRONG_USAGE, "--messages", file("p.json", PARTS), "--template", "rag")
                        .err())
                .contains("no prompt template \"rag\"; there are default, tool_use, orca-hashes");
        Files.writeString(folder.resolve("chat_template.jinja"), "{{ raise_exception('no ' ~ messages[0].role) }}");
        assertThat(run(ExitCode.BAD_INPUT, "--messages", file("p.json", PARTS)).err())
                .contains("prompt template model refuses the conversation: no system");
        Files.writeString(folder.resolve("chat_template.jinja"), "a\n{% for %}");
        assertThat(run(ExitCode.BAD_INPUT, "--messages", file("p.json", PARTS)).err())
                .contains("is no template: line 2");
        Files.delete(folder.resolve("chat_template.jinja"));
        assertThat(run(ExitCode.WRONG_USAGE, "--messages", file("p.json", PARTS))
                        .err())
                .contains("has no chat template called \"default\"; give --template one of tool_use");
    }
}
