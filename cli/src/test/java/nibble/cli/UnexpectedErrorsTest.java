package nibble.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringReader;
import java.io.StringWriter;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.Callable;
import java.util.concurrent.CompletionException;
import java.util.stream.Stream;
import nibble.cli.option.UsageException;
import nibble.cli.terminal.ExitCode;
import nibble.cli.terminal.Terminal;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;
import picocli.CommandLine;

/** Whatever a command throws, a user sees one line that says what to do, and no stack trace. */
class UnexpectedErrorsTest {
    private static final Path MODEL = Path.of(System.getProperty("nibble.root"), "models", "wiki-7m");

    /** For each command what it needs to come to the point where it prints. */
    private static final Map<String, String> COMMANDS = new TreeMap<>(Map.ofEntries(
            Map.entry("quantize", "MODEL NEW --method rtn"),
            Map.entry("cluster quantize", "ROWS --master nowhere"),
            Map.entry("cluster quantize-model", "MODEL NEW --method rtn --master nowhere"),
            Map.entry("cluster convert", "MODEL NEW --to safetensors --master nowhere"),
            Map.entry("cluster eval perplexity", "MODEL --master nowhere"),
            Map.entry("cluster eval tasks", "MODEL --tasks arc_easy --master nowhere"),
            Map.entry("eval perplexity", "MODEL --context 64 --windows 1"),
            Map.entry("eval tasks", "MODEL --tasks arc_easy --limit 1"),
            Map.entry("eval mt-bench", "MODEL --output NEW --template vicuna --max-new-tokens 1"),
            Map.entry("eval mt-bench judge", "ANSWERS --endpoint http://127.0.0.1:1/v1 --model judge --output NEW"),
            Map.entry("eval report", "FILE --markdown -"),
            Map.entry("generate", "MODEL --prompt The --max-new-tokens 1"),
            Map.entry("serve", "MODEL --port 0 --max-context 64"),
            Map.entry("inspect", "MODEL"),
            Map.entry("tokenize", "MODEL --prompt The"),
            Map.entry("plan", "MODEL"),
            Map.entry("convert", "MODEL NEW --to safetensors"),
            Map.entry("verify", "MODEL"),
            Map.entry("card", "QUANTIZED --repo a/b --print"),
            Map.entry("publish", "QUANTIZED --repo a/b --dry-run"),
            Map.entry("download", "a/b"),
            Map.entry("demo", ""),
            Map.entry("selftest", ""),
            Map.entry("bench engine", "--shape tiny --sequences 1 --seq-len 2 --decode-tokens 0"),
            Map.entry("bench quantize", "--shape tiny --samples 1 --seq-len 2"),
            Map.entry("bench make-model", "NEW --shape tiny")));

    @TempDir
    @SuppressWarnings("NullAway.Init")
    private static Path shared;

    @TempDir
    @SuppressWarnings("NullAway.Init")
    private Path folder;

    @BeforeAll
    static void make() throws IOException {
        System.setProperty("nibble.home", System.getProperty("nibble.root"));
        Files.writeString(
                shared.resolve("answers.jsonl"),
                "{\"question_id\": 81, \"model_id\": \"m\", \"choices\": [{\"turns\": [\"a\", \"b\"]}]}\n");
        Files.writeString(shared.resolve("rows.json"), "[]");
        assertThat(new TerminalCapture()
                        .run(
                                "quantize",
                                MODEL.toString(),
                                shared.resolve("quantized").toString(),
                                "--method",
                                "rtn"))
                .isEqualTo(ExitCode.DONE);
        assertThat(new TerminalCapture()
                        .run(
                                "eval",
                                "tasks",
                                MODEL.toString(),
                                "--tasks",
                                "arc_easy",
                                "--limit",
                                "1",
                                "--json",
                                shared.resolve("file").toString()))
                .isEqualTo(ExitCode.DONE);
    }

    /** Throws once, at the first text that it is to print; afterwards it prints. */
    private static final class Bursting extends PrintWriter {
        private final StringWriter text;
        private final Throwable thrown;
        private boolean done;

        Bursting(StringWriter text, Throwable thrown) {
            super(text, true);
            this.text = text;
            this.thrown = thrown;
        }

        @Override
        public void write(String s, int from, int count) {
            if (!done) {
                done = true;
                throw Bursting.<RuntimeException>unchecked(thrown);
            }
            super.write(s, from, count);
        }

        @SuppressWarnings("unchecked")
        private static <T extends Throwable> T unchecked(Throwable thrown) throws T {
            throw (T) thrown;
        }
    }

    static Stream<String> commands() {
        return COMMANDS.keySet().stream();
    }

    static List<String> leaves(CommandLine line, String name) {
        List<String> found = new ArrayList<>();
        line.getSubcommands().forEach((sub, next) -> found.addAll(leaves(next, (name + " " + sub).strip())));
        // A command that does something by itself may have subcommands too.
        boolean works = line.getCommandSpec().userObject() instanceof Callable<?>;
        if (found.isEmpty() || works) {
            found.add(name);
        }
        return found;
    }

    @Test
    void every_command_is_tried() {
        Terminal terminal = new Terminal(
                new PrintWriter(new StringWriter()),
                new PrintWriter(new StringWriter()),
                false,
                new BufferedReader(new StringReader("")),
                Map.of());
        assertThat(leaves(Nibble.commandLine(terminal), "")).containsExactlyInAnyOrderElementsOf(COMMANDS.keySet());
    }

    @ParameterizedTest(name = "{0}")
    @MethodSource("commands")
    void no_command_shows_a_stack_trace(String command) {
        Said exception = run(command, new IllegalStateException("a state of nibble.Some$Thing"), Map.of());
        assertThat(exception.code()).as(exception.text()).isEqualTo(ExitCode.DEFECT);
        assertThat(exception.lines("a defect of Nibble"))
                .singleElement()
                .asString()
                .contains("NIBBLE_DEBUG=1");
        assertThat(exception.text()).doesNotContain("\tat ", "Exception", "nibble.Some");

        Said error = run(command, new OutOfMemoryError("Java heap space"), Map.of());
        assertThat(error.code()).as(error.text()).isEqualTo(ExitCode.DEVICE_OR_MEMORY);
        assertThat(error.lines("out of memory")).singleElement().asString().contains("NIBBLE_JAVA_OPTS=-Xmx");
        assertThat(error.text()).doesNotContain("\tat ", "Error");
    }

    static Stream<Arguments> kinds() {
        return Stream.of(
                Arguments.of(new RuntimeException((String) null), ExitCode.DEFECT, "no reason is known"),
                Arguments.of(
                        new NullPointerException("Cannot invoke \"String.length()\""),
                        ExitCode.DEFECT,
                        "a value is missing"),
                Arguments.of(new StackOverflowError(), ExitCode.DEFECT, "nested too deeply"),
                Arguments.of(new AssertionError("odd"), ExitCode.DEFECT, "odd"),
                Arguments.of(new NoClassDefFoundError("nibble/engine/X"), ExitCode.DEFECT, "nibble/engine/X"),
                Arguments.of(
                        new ExceptionInInitializerError(new IllegalStateException("early")), ExitCode.DEFECT, "early"),
                Arguments.of(
                        new OutOfMemoryError("unable to create native thread: possibly out of memory"),
                        ExitCode.DEVICE_OR_MEMORY,
                        "ulimit -u"),
                Arguments.of(
                        new IllegalStateException(new OutOfMemoryError("Java heap space")),
                        ExitCode.DEVICE_OR_MEMORY,
                        "out of memory"),
                Arguments.of(
                        new InternalError("a fault occurred in an unsafe memory access operation"),
                        ExitCode.BAD_INPUT,
                        "was cut short, or its disk failed"),
                Arguments.of(new IOException("Input/output error"), ExitCode.BAD_INPUT, "Input/output error"),
                Arguments.of(new NoSuchFileException("/a/b"), ExitCode.BAD_INPUT, "/a/b: no such file or folder"),
                Arguments.of(
                        new UncheckedIOException(new NoSuchFileException("/a/b")),
                        ExitCode.BAD_INPUT,
                        "/a/b: no such file or folder"),
                Arguments.of(
                        new UncheckedIOException("/a: cannot be read: it ends early", new IOException("x")),
                        ExitCode.BAD_INPUT,
                        "/a: cannot be read"),
                Arguments.of(
                        new IllegalStateException(new NoSuchFileException("/a/b")),
                        ExitCode.BAD_INPUT,
                        "/a/b: no such file or folder"),
                Arguments.of(
                        new CompletionException(new UsageException("--x: wrong")), ExitCode.WRONG_USAGE, "--x: wrong"));
    }

    @ParameterizedTest(name = "{0}")
    @MethodSource("kinds")
    void every_kind_of_throwable_is_one_line_of_its_own_exit_code(Throwable thrown, int code, String words) {
        Said said = run("plan", thrown, Map.of());
        assertThat(said.code()).as(said.text()).isEqualTo(code);
        assertThat(said.lines("nibble: ")).singleElement().asString().contains(words);
        assertThat(said.text()).doesNotContain("\tat ", "Exception", "Error:", "java.");
    }

    @Test
    void who_asks_for_it_gets_the_stack_trace() {
        assertThat(run("plan", new IllegalStateException("odd"), Map.of("NIBBLE_DEBUG", "1"))
                        .text())
                .contains("nibble: a defect of Nibble", "odd", "IllegalStateException", "\tat nibble.cli");
    }

    private record Said(int code, String text) {
        List<String> lines(String part) {
            return text.lines().filter(line -> line.contains(part)).toList();
        }
    }

    /** Runs a command whose first text, wherever it goes, throws. */
    private Said run(String command, Throwable thrown, Map<String, String> environment) {
        String line = command + " " + COMMANDS.get(command);
        List<String> words = Stream.of(line.strip().split(" "))
                .map(word -> switch (word) {
                    case "MODEL" -> MODEL.toString();
                    case "NEW" -> folder.resolve("new").toString();
                    case "QUANTIZED" -> shared.resolve("quantized").toString();
                    case "ANSWERS" -> shared.resolve("answers.jsonl").toString();
                    case "ROWS" -> shared.resolve("rows.json").toString();
                    case "FILE" -> shared.resolve("file").toString();
                    default -> word;
                })
                .toList();
        StringWriter text = new StringWriter();
        Bursting both = new Bursting(text, thrown);
        Terminal terminal = new Terminal(both, both, false, new BufferedReader(new StringReader("")), environment);
        int code = Nibble.run(terminal, words.toArray(String[]::new));
        return new Said(code, text.toString());
    }
}
