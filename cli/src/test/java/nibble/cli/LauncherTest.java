package nibble.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.File;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.jar.Attributes;
import java.util.jar.JarOutputStream;
import java.util.jar.Manifest;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import nibble.cli.terminal.ExitCode;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;

/** The launcher of a distribution, whose part that starts Java is that of {@code ./nibble} too. */
@EnabledOnOs(OS.LINUX)
class LauncherTest {
    private static final Path ROOT =
            Path.of(System.getProperty("nibble.root")).toAbsolutePath().normalize();
    private static final Path MODEL = ROOT.resolve("models/wiki-7m");

    @TempDir
    @SuppressWarnings("NullAway.Init")
    private Path folder;

    private record Ended(int exitCode, String out, String err) {}

    @BeforeEach
    void makeADistribution() throws IOException {
        Path lib = Files.createDirectories(folder.resolve("dist/lib"));
        Files.copy(ROOT.resolve("cli/src/main/dist/nibble"), folder.resolve("dist/nibble"));
        Files.copy(ROOT.resolve("cli/src/main/dist/launch"), lib.resolve("launch"));
        Path java = Files.createDirectories(folder.resolve("dist/runtime/bin")).resolve("java");
        Files.writeString(java, "#!/bin/sh\nexec \"" + System.getProperty("java.home") + "/bin/java\" \"$@\"\n");
        assertThat(java.toFile().setExecutable(true)).isTrue();
        Manifest manifest = new Manifest();
        manifest.getMainAttributes().put(Attributes.Name.MANIFEST_VERSION, "1.0");
        manifest.getMainAttributes()
                .put(
                        Attributes.Name.CLASS_PATH,
                        Arrays.stream(System.getProperty(
                                                "surefire.test.class.path", System.getProperty("java.class.path"))
                                        .split(File.pathSeparator))
                                .map(entry -> Path.of(entry).toUri().toString())
                                .collect(Collectors.joining(" ")));
        new JarOutputStream(Files.newOutputStream(lib.resolve("nibble.jar")), manifest).close();
    }

    @Test
    void says_nothing_of_its_own_on_standard_error() throws Exception {
        Ended version = run(Map.of(), "", "--version");
        assertThat(version).isEqualTo(new Ended(0, "nibble " + nibble.files.Version.NIBBLE + "\n", ""));
        Ended missing = run(Map.of(), "", "inspect", "/no such file");
        assertThat(missing)
                .isEqualTo(new Ended(
                        ExitCode.BAD_INPUT, "", "nibble: /no such file: no such folder or file; check the path\n"));
    }

    @Test
    void goes_on_without_a_word_where_the_archive_of_classes_is_not_that_of_its_jars() throws Exception {
        Ended expected = new Ended(0, "nibble " + nibble.files.Version.NIBBLE + "\n", "");
        Path archive = folder.resolve("dist/lib/nibble.jsa");
        Files.writeString(archive, "no archive");
        assertThat(run(Map.of(), "", "--version")).isEqualTo(expected);
        Files.delete(archive);
        assertThat(run(Map.of("NIBBLE_JAVA_OPTS", "-XX:ArchiveClassesAtExit=" + archive), "", "--version")
                        .exitCode())
                .isZero();
        assertThat(run(Map.of(), "", "--version")).isEqualTo(expected);
        try (var jar = new JarOutputStream(Files.newOutputStream(folder.resolve("dist/lib/another.jar")))) {
            jar.putNextEntry(new java.util.zip.ZipEntry("a"));
        }
        assertThat(run(Map.of(), "", "--version")).isEqualTo(expected);
    }

    @Test
    void lets_all_else_that_the_jvm_writes_through() throws Exception {
        Ended heap = run(Map.of("NIBBLE_JAVA_OPTS", "-XX:+Nonsense"), "", "--version");
        assertThat(heap.exitCode()).isEqualTo(1);
        assertThat(heap.err())
                .contains("Unrecognized VM option 'Nonsense'", "Could not create the Java Virtual Machine");
        Ended early = run(Map.of("NIBBLE_JAVA_OPTS", "--add-modules=no.such.module"), "", "--version");
        assertThat(early.exitCode()).isEqualTo(1);
        assertThat(early.err() + early.out()).contains("no.such.module").doesNotContain("incubator");
    }

    @Test
    void hands_standard_input_over() throws Exception {
        Ended chat = run(
                Map.of(),
                "Hello\n/exit\n",
                "generate",
                MODEL.toString(),
                "--chat",
                "--template",
                "vicuna",
                "--max-new-tokens",
                "2",
                "--device",
                "cpu");
        assertThat(chat.exitCode()).as(chat.err()).isEqualTo(ExitCode.DONE);
        assertThat(chat.err()).contains("2 tokens in").doesNotContain("WARNING");
    }

    @Test
    void is_the_process_that_a_signal_reaches_and_leaves_no_other() throws Exception {
        Path out = folder.resolve("made/out");
        Process process = start(
                List.of("env", "--default-signal=INT"),
                Map.of(),
                "quantize",
                MODEL.toString(),
                out.toString(),
                "--samples",
                "4",
                "--seq-len",
                "256",
                "--device",
                "cpu");
        long deadline = System.nanoTime() + TimeUnit.MINUTES.toNanos(10);
        while (!Files.isDirectory(out.getParent())) {
            assertThat(process.isAlive()).as(() -> text("stderr")).isTrue();
            assertThat(System.nanoTime()).as("time to start").isLessThan(deadline);
            Thread.sleep(10);
        }
        assertThat(process.descendants()).isEmpty();
        new ProcessBuilder("kill", "-INT", String.valueOf(process.pid()))
                .start()
                .waitFor();
        Ended ended = end(process);
        assertThat(ended.exitCode()).as(ended.err()).isEqualTo(ExitCode.INTERRUPTED);
        assertThat(ended.err()).contains("nibble: interrupted").doesNotContain("WARNING");
    }

    @Test
    void both_launchers_start_java_in_one_way() throws IOException {
        assertThat(ROOT.resolve("nibble")).content().contains("/dist/launch\"").doesNotContain("--add-modules");
        assertThat(ROOT.resolve("cli/src/main/dist/nibble"))
                .content()
                .contains("/launch\"")
                .doesNotContain("--add-modules");
        assertThat(ROOT.resolve("cli/src/main/dist/make-dist"))
                .content()
                .contains("dist/launch\" \"$work/$name/lib/\"");
    }

    private Ended run(Map<String, String> environment, String typed, String... arguments) throws Exception {
        Files.writeString(folder.resolve("stdin"), typed);
        return end(start(List.of(), environment, arguments));
    }

    private Process start(List<String> by, Map<String, String> environment, String... arguments) throws IOException {
        List<String> command = Stream.of(
                        by, List.of("bash", folder.resolve("dist/nibble").toString()), List.of(arguments))
                .flatMap(List::stream)
                .toList();
        ProcessBuilder builder = new ProcessBuilder(command)
                .redirectOutput(folder.resolve("stdout").toFile())
                .redirectError(folder.resolve("stderr").toFile());
        if (Files.exists(folder.resolve("stdin"))) {
            builder.redirectInput(folder.resolve("stdin").toFile());
        }
        builder.environment().remove("NIBBLE_JAVA_OPTS");
        builder.environment().putAll(environment);
        return builder.start();
    }

    private Ended end(Process process) throws Exception {
        if (!process.waitFor(10, TimeUnit.MINUTES)) {
            process.destroyForcibly();
        }
        // The filter of a JVM that never reached Nibble may end after it.
        for (int i = 0; i < 50 && process.exitValue() == 1 && !text("stderr").endsWith("\n"); i++) {
            Thread.sleep(20);
        }
        return new Ended(process.waitFor(), text("stdout"), text("stderr"));
    }

    private String text(String name) {
        try {
            return Files.readString(folder.resolve(name));
        } catch (IOException e) {
            return name + ": " + e;
        }
    }
}
