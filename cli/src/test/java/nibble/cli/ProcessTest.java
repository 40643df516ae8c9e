package nibble.cli;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import nibble.cli.start.ClassArchive;
import nibble.cli.terminal.ExitCode;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** What shows only in a process of its own: signals, limits of the system, and all that reaches standard output. */
@EnabledOnOs(OS.LINUX)
class ProcessTest {
    private static final Path MODEL = Path.of(System.getProperty("nibble.root"), "models", "wiki-7m");

    @TempDir
    @SuppressWarnings("NullAway.Init")
    private Path folder;

    private record Ended(int exitCode, String out, String err) {}

    @Test
    void an_interrupt_ends_with_130_and_leaves_nothing_behind() throws Exception {
        Path out = folder.resolve("made/out");
        Process process = start(
                List.of("env", "--default-signal=INT"),
                "quantize",
                MODEL.toString(),
                out.toString(),
                "--samples",
                "4",
                "--seq-len",
                "256");
        long deadline = System.nanoTime() + TimeUnit.MINUTES.toNanos(10);
        while (!Files.isDirectory(out.getParent()) || names(out.getParent()).isEmpty()) {
            assertThat(process.isAlive()).as(() -> text("stderr")).isTrue();
            assertThat(System.nanoTime()).as("time to start").isLessThan(deadline);
            Thread.sleep(10);
        }
        new ProcessBuilder("kill", "-INT", String.valueOf(process.pid()))
                .start()
                .waitFor();

        Ended ended = end(process);
        assertThat(ended.exitCode()).as(ended.err()).isEqualTo(ExitCode.INTERRUPTED);
        assertThat(ended.err()).contains("nibble: interrupted").doesNotContain("failed", "\tat ");
        assertThat(names(folder)).containsExactly("stderr", "stdout");
    }

    /**
     * The limit is on a file's size: 2000 blocks are less than a shard, 6000 less than the licence that comes last,
     * when all layers are durable.
     */
    @ParameterizedTest
    @CsvSource({"2000, .safetensors, false", "6000, LICENSE, true"})
    void a_write_that_the_system_refuses_is_said_and_only_durable_layers_stay(int blocks, String file, boolean durable)
            throws Exception {
        Path model = Files.createDirectory(folder.resolve("model"));
        for (String name : names(MODEL)) {
            Files.copy(MODEL.resolve(name), model.resolve(name));
        }
        Files.writeString(model.resolve("LICENSE"), "licence ".repeat(1 << 20));

        Ended ended = end(start(
                List.of("sh", "-c", "ulimit -f " + blocks + "; exec \"$@\"", "sh"),
                "quantize",
                model.toString(),
                folder.resolve("made/out").toString(),
                "--method",
                "rtn",
                "--max-shard-size",
                "1MB"));
        assertThat(ended.exitCode()).as(ended.err()).isEqualTo(ExitCode.BAD_INPUT);
        assertThat(ended.err()).contains(file, "File too large", "run again").doesNotContain("\tat ");
        if (durable) {
            assertThat(ended.err()).contains("6 of 6 layers are safe", "--resume");
            assertThat(names(folder.resolve("made"))).containsExactly(".out.unfinished");
            Ended resumed = end(start(
                    List.of(),
                    "quantize",
                    model.toString(),
                    folder.resolve("made/out").toString(),
                    "--method",
                    "rtn",
                    "--max-shard-size",
                    "1MB",
                    "--resume"));
            assertThat(resumed.exitCode()).as(resumed.err()).isEqualTo(ExitCode.DONE);
            assertThat(names(folder.resolve("made"))).containsExactly("out");
        } else {
            assertThat(names(folder)).containsExactly("model", "stderr", "stdout");
        }
    }

    @Test
    void standard_output_holds_the_json_and_nothing_else() throws Exception {
        // The native tokenizer and the progress are what could write there.
        for (String command : List.of(
                "eval perplexity MODEL --dataset TEXT --context 64 --windows 2 --json -",
                "quantize MODEL OUT --method rtn --json -")) {
            String[] arguments = command.replace("MODEL", MODEL.toString())
                    .replace("TEXT", MODEL.resolveSibling("../LICENSE").toString())
                    .replace("OUT", folder.resolve("out").toString())
                    .split(" ");
            Ended ended = end(start(List.of(), arguments));
            assertThat(ended.exitCode()).as(ended.err()).isEqualTo(ExitCode.DONE);
            try (JsonParser parser = new ObjectMapper().createParser(ended.out())) {
                JsonNode figures = parser.readValueAsTree();
                assertThat(figures.isObject()).as(command).isTrue();
                assertThat(parser.nextToken())
                        .as("after the object of " + command)
                        .isNull();
            }
        }
    }

    private Process start(List<String> by, String... arguments) throws IOException {
        List<String> command = new ArrayList<>(by);
        command.addAll(List.of(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "--add-modules=jdk.incubator.vector",
                "--enable-native-access=ALL-UNNAMED",
                "-Xmx1g",
                "-XX:+UseSerialGC"));
        command.addAll(ClassArchive.options());
        command.addAll(QuickCompiler.options(String.join(" ", arguments)));
        command.add(Nibble.class.getName());
        command.addAll(Arrays.asList(arguments));
        return new ProcessBuilder(command)
                .redirectOutput(folder.resolve("stdout").toFile())
                .redirectError(folder.resolve("stderr").toFile())
                .start();
    }

    private Ended end(Process process) throws Exception {
        if (!process.waitFor(10, TimeUnit.MINUTES)) {
            process.destroyForcibly();
        }
        assertThat(process.isAlive()).isFalse();
        return new Ended(process.waitFor(), text("stdout"), text("stderr"));
    }

    private String text(String name) {
        try {
            return Files.readString(folder.resolve(name));
        } catch (IOException e) {
            return name + ": " + e;
        }
    }

    private static List<String> names(Path folder) throws IOException {
        try (Stream<Path> files = Files.list(folder)) {
            return files.map(file -> file.getFileName().toString()).sorted().toList();
        }
    }
}
