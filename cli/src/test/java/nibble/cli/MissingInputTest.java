package nibble.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import nibble.cli.option.ModelArgument;
import nibble.cli.terminal.ExitCode;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import picocli.CommandLine;
import picocli.CommandLine.Model.PositionalParamSpec;

/**
 * Every command that reads a model or a file, given one that is not there, of another kind, or an empty folder: exit
 * code 3, the path in the message, no stack trace, nothing written. What is missing is said first, whatever else is
 * wrong.
 */
class MissingInputTest {
    private static final Path MODEL = Path.of(System.getProperty("nibble.root"), "models", "wiki-7m");

    /** What commands need beside their input; {@code %s} is a folder to write to. */
    private static final Map<String, String> REST = Map.of(
            "quantize", "%s/out",
            "convert", "%s/out --format gguf --type F16",
            "generate", "--prompt x",
            "tokenize", "--prompt x",
            "eval tasks", "--tasks arc_easy",
            "eval mt-bench", "--output %s/answers.jsonl --template vicuna",
            "eval mt-bench judge", "--endpoint http://127.0.0.1:1/v1 --model judge --output %s/judgments.jsonl",
            "eval report", "--html %s/report.html",
            "card", "--repo org/name",
            // Without a token only a dry run gets so far as to look at the folder.
            "publish", "--repo org/name --dry-run");

    /**
     * The same with something else wrong that would be said if the input were there: a device, a template, a number.
     */
    private static final Map<String, String> WRONG = Map.ofEntries(
            Map.entry("quantize", "%s/out --device cuda:99 --samples 0 --bits 3 --json %s/none/x.json"),
            Map.entry("convert", "%s/out --format onnx --json %s/none/x.json"),
            Map.entry("generate", "--template model --chat --prompt x --temperature -1"),
            Map.entry("serve", "--device cuda:99 --port 99999 --chat-template nonsense"),
            Map.entry("tokenize", "--prompt x --set a=1 --template nonsense --json %s/none/x.json"),
            Map.entry("inspect", "--json %s/none/x.json"),
            Map.entry("plan", "--device cuda:99 --bits 3 --seq-len 0"),
            Map.entry("verify", "--json %s/none/x.json"),
            Map.entry("eval perplexity", "--device cuda:99 --context 1"),
            Map.entry("eval tasks", "--tasks nonsense --device cuda:99"),
            Map.entry("eval mt-bench", "--output %s/none/answers.jsonl --choices 0"),
            Map.entry("eval mt-bench judge", "--endpoint x --model judge --output %s/none/x --max-tokens 0"),
            Map.entry("eval report", ""),
            Map.entry("card", "--repo nonsense --prompt-template nonsense"),
            Map.entry("publish", "--repo nonsense --dry-run --pull-request"));

    @TempDir
    @SuppressWarnings("NullAway.Init")
    private Path folder;

    private List<String> before = List.of();

    @BeforeEach
    void makeInputsOfOtherKinds() throws IOException {
        Files.createDirectory(folder.resolve("empty"));
        Files.writeString(folder.resolve("notes.txt"), "These are notes about a model.\n");
        Files.writeString(folder.resolve("nothing.gguf"), "");
        Files.write(
                folder.resolve("picture.png"), new byte[] {(byte) 0x89, 'P', 'N', 'G', 13, 10, 26, 10, 0, 0, 0, 13});
        Files.createDirectory(folder.resolve("config-only"));
        Files.copy(MODEL.resolve("config.json"), folder.resolve("config-only/config.json"));
        before = tree();
    }

    static List<String> commands() {
        List<String> found = new ArrayList<>();
        collect(Nibble.commandLine(new TerminalCapture().terminal()), "", found);
        // A cluster's commands need options of their own, which REST does not have.
        found.removeIf(command -> command.startsWith("cluster "));
        return found;
    }

    private static void collect(CommandLine line, String prefix, List<String> found) {
        line.getSubcommands().forEach((name, command) -> collect(command, (prefix + " " + name).strip(), found));
        boolean reads = line.getCommandSpec().positionalParameters().stream()
                .filter(parameter -> parameter.index().min() == 0)
                .anyMatch(MissingInputTest::isInput);
        if (reads) {
            found.add(prefix);
        }
    }

    private static boolean isInput(PositionalParamSpec parameter) {
        return parameter.type() == ModelArgument.class
                || parameter.type() == Path.class && !parameter.paramLabel().equals("OUT");
    }

    @Test
    void commands_that_read_something_are_all_found() {
        assertThat(commands()).containsAll(WRONG.keySet());
    }

    @ParameterizedTest
    @MethodSource("commands")
    void an_input_that_is_not_there_is_said_first(String command) throws IOException {
        Path none = folder.resolve("no such model");
        for (String rest : new String[] {REST.getOrDefault(command, ""), WRONG.getOrDefault(command, "")}) {
            assertThat(refused(command, none, rest))
                    .containsPattern("no such model: no such (folder or file|folder|file); check the path");
        }
    }

    @ParameterizedTest
    @MethodSource("commands")
    void an_input_of_another_kind_is_named(String command) throws IOException {
        for (String input : new String[] {"empty", "notes.txt", "nothing.gguf", "picture.png", "config-only"}) {
            if (command.equals("plan") && input.equals("config-only")) {
                continue;
            }
            Path path = folder.resolve(input);
            assertThat(refused(command, path, REST.getOrDefault(command, ""))).contains(path.toString());
        }
    }

    static Stream<String> otherInputs() {
        return Stream.of(
                "quantize MODEL %s/out --calibration NONE --device cuda:99",
                "plan MODEL --calibration NONE",
                "convert MODEL %s/out --format gguf --type Q4_K_M --calibration NONE",
                "convert MODEL %s/out --format gguf --type Q4_K_M --importance NONE",
                "verify MODEL --against NONE",
                "tokenize MODEL --messages NONE --template nonsense --json %s/none/x.json",
                "tokenize MODEL --prompt x --tools NONE",
                "tokenize MODEL --jsonl NONE --prompt x",
                "eval perplexity MODEL --dataset NONE --device cuda:99",
                "eval tasks MODEL --tasks nonsense --baseline NONE",
                "eval tasks MODEL --tasks nonsense --data NONE",
                "eval tasks MODEL --tasks nonsense --quantization-report NONE",
                "eval tasks MODEL --tasks nonsense --perplexity NONE",
                "eval mt-bench MODEL --output %s/none/x --questions NONE",
                "eval mt-bench judge NONE --endpoint x --model j --output %s/none/x",
                "eval mt-bench judge CONFIG --endpoint x --model j --output %s/none/x --references NONE",
                "eval mt-bench judge CONFIG --endpoint x --model j --output %s/none/x --judge-prompts NONE",
                "eval mt-bench judge CONFIG --endpoint x --model j --output %s/none/x --questions NONE",
                "eval report CONFIG --baseline NONE",
                "eval report CONFIG --perplexity NONE",
                "eval report CONFIG --quantization-report NONE",
                "card MODEL --repo nonsense --eval NONE",
                "card MODEL --repo nonsense --baseline-eval NONE",
                "card MODEL --repo nonsense --original-card NONE",
                "card MODEL --repo nonsense --card-template NONE",
                "publish MODEL --repo nonsense --eval NONE",
                "bench make-model %s/out --shape nonsense --tokenizer NONE");
    }

    @ParameterizedTest
    @MethodSource("otherInputs")
    void every_other_input_that_is_not_there_is_said_first_too(String line) throws IOException {
        String[] words = line.replace("MODEL", MODEL.toString())
                .replace("CONFIG", MODEL.resolve("config.json").toString())
                .replace("NONE", folder.resolve("none.txt").toString())
                .replace("%s", folder.toString())
                .split(" ");
        assertThat(run(words)).contains("none.txt: no such").contains("check the path");
    }

    private String refused(String command, Path input, String rest) throws IOException {
        List<String> words = new ArrayList<>(List.of(command.split(" ")));
        words.add(input.toString());
        if (!rest.isEmpty()) {
            words.addAll(List.of(rest.replace("%s", folder.toString()).split(" ")));
        }
        return run(words.toArray(String[]::new));
    }

    private String run(String... words) throws IOException {
        TerminalCapture terminal = new TerminalCapture();
        int code = terminal.run(words);
        String said = terminal.out() + terminal.err();
        assertThat(code).as("%s%n%s", String.join(" ", words), said).isEqualTo(ExitCode.BAD_INPUT);
        assertThat(said).doesNotContain("\tat ", "Exception");
        assertThat(tree()).as(String.join(" ", words)).isEqualTo(before);
        return said;
    }

    private List<String> tree() throws IOException {
        try (Stream<Path> files = Files.walk(folder)) {
            return files.map(Path::toString).sorted().toList();
        }
    }
}
