package nibble.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import nibble.cli.terminal.ExitCode;
import nibble.datasets.TextStream;
import nibble.datasets.Tokenizer;
import nibble.datasets.Tokenizers;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Templates and conversations on the bundled model, which was not made for chat but must keep to the forms. */
class ChatTest {
    private static final Path MODEL = Path.of(System.getProperty("nibble.root"), "models", "wiki-7m");

    @TempDir
    @SuppressWarnings("NullAway.Init")
    private Path folder;

    @Test
    void a_conversation_is_held_until_its_end() {
        TerminalCapture terminal =
                new TerminalCapture(Map.of(), "The city of\n\n/clear\nThe river\nAnd its mouth\n/exit\nnever\n");
        assertThat(terminal.run(
                        "generate", MODEL.toString(), "--chat", "--template", "alpaca", "--max-new-tokens", "4"))
                .as(terminal.err())
                .isEqualTo(ExitCode.DONE);
        assertThat(terminal.err().lines().filter(line -> line.contains("tokens/s")))
                .hasSize(3);
    }

    @Test
    void a_template_changes_the_answer_and_the_models_own_is_used_if_it_has_one() throws IOException {
        Path model = Files.createDirectory(folder.resolve("model"));
        try (Stream<Path> files = Files.list(MODEL)) {
            for (Path file : files.toList()) {
                Files.copy(file, model.resolve(file.getFileName()));
            }
        }
        Files.writeString(model.resolve("chat_template.jinja"), "{{ bos_token }}{{ messages[-1]['content'] }}");
        String plain = answer(model, "--prompt", "The city of");
        assertThat(answer(model, "--prompt", "The city of", "--template", "model"))
                .as("the same ids, BOS once")
                .isEqualTo(plain);
        assertThat(answer(model, "--prompt", "The city of", "--template", "vicuna", "--system", "Be brief."))
                .isNotEqualTo(plain);
    }

    private static String answer(Path model, String... more) {
        TerminalCapture terminal = new TerminalCapture();
        String[] arguments = Stream.concat(
                        Stream.of("generate", model.toString(), "--max-new-tokens", "6"), Stream.of(more))
                .toArray(String[]::new);
        assertThat(terminal.run(arguments)).as(terminal.err()).isEqualTo(ExitCode.DONE);
        return terminal.out();
    }

    /** transformers 5.17 decodes prompt and continuation to "The city of the city, the". */
    @Test
    void what_continues_a_prompt_begins_with_its_space() {
        TerminalCapture terminal = new TerminalCapture();
        assertThat(terminal.run("generate", MODEL.toString(), "--prompt", "The city of", "--max-new-tokens", "2"))
                .as(terminal.err())
                .isEqualTo(ExitCode.DONE);
        assertThat(terminal.out()).startsWith(" the city");
        assertThat(terminal.err()).contains("2 tokens");
    }

    @Test
    void tokens_mean_what_they_mean_behind_those_before_them_bytes_of_characters_too() {
        try (Tokenizer tokenizer = Tokenizers.open(MODEL)) {
            int[] ids = tokenizer.encode("The city of 🦙 and é", true);
            for (int given = 1; given < ids.length; given++) {
                int[] before = java.util.Arrays.copyOf(ids, given);
                TextStream stream = new TextStream(tokenizer, List.of(), before, piece -> {});
                for (int id : java.util.Arrays.copyOfRange(ids, given, ids.length)) {
                    stream.add(id);
                }
                stream.end();
                String prompt = tokenizer.decode(before);
                if (!prompt.endsWith("\uFFFD")) {
                    assertThat(prompt + stream.text()).isEqualTo("The city of 🦙 and é");
                }
                assertThat(stream.tokens()).isEqualTo(ids.length - given);
            }
        }
    }

    @Test
    void a_character_that_is_cut_off_is_shown_as_the_replacement_one() {
        try (Tokenizer tokenizer = Tokenizers.open(MODEL)) {
            int[] ids = tokenizer.encode("a 🦙", false);
            TextStream stream = new TextStream(tokenizer, List.of(), new int[0], piece -> {});
            for (int id : java.util.Arrays.copyOf(ids, ids.length - 1)) {
                stream.add(id);
            }
            stream.end();
            assertThat(stream.text()).startsWith("a ").endsWith("\uFFFD");
        }
    }

    @Test
    void options_that_contradict_are_wrong_usage() {
        for (String[] more : List.of(
                new String[] {},
                new String[] {"--chat", "--prompt", "x"},
                new String[] {"--chat"},
                new String[] {"--prompt", "x", "--template", "nonsense"},
                new String[] {"--prompt", "x", "--system", "y"})) {
            TerminalCapture terminal = new TerminalCapture();
            String[] arguments = Stream.concat(Stream.of("generate", MODEL.toString()), Stream.of(more))
                    .toArray(String[]::new);
            assertThat(terminal.run(arguments)).as(String.join(" ", arguments)).isEqualTo(ExitCode.WRONG_USAGE);
        }
    }

    @Test
    void a_stop_text_ends_the_stream_and_is_never_shown_even_in_part() {
        try (Tokenizer tokenizer = Tokenizers.open(MODEL)) {
            assertThat(streamed(tokenizer, "one two ### User: three", "### User:"))
                    .isEqualTo("one two |stopped");
            assertThat(streamed(tokenizer, "one ### Use", "### User:")).isEqualTo("one ### Use|goes on");
            assertThat(streamed(tokenizer, "one ## two", "### User:")).isEqualTo("one ## two|goes on");
        }
    }

    private static String streamed(Tokenizer tokenizer, String text, String stop) {
        StringBuilder out = new StringBuilder();
        TextStream stream = new TextStream(tokenizer, List.of(stop), new int[0], out::append);
        boolean goesOn = true;
        for (int id : tokenizer.encode(text, false)) {
            goesOn = goesOn && stream.add(id);
        }
        stream.end();
        assertThat(out.toString()).isEqualTo(stream.text());
        return stream.text().stripLeading() + (goesOn ? "|goes on" : "|stopped");
    }
}
