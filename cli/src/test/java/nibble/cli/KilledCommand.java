package nibble.cli;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Stream;
import nibble.cli.start.ClassArchive;
import nibble.files.digest.Sha256;

/** A command of nibble that makes OUT of MODEL, in a JVM of its own, which can be killed. */
public final class KilledCommand {
    private final String command;
    private final Path model;
    private final Path out;
    private final Path log;
    private final List<String> options;

    /** @param log takes what the command prints, run after run */
    KilledCommand(String command, Path model, Path out, Path log, String... options) {
        this.command = command;
        this.model = model;
        this.out = out;
        this.log = log;
        this.options = List.of(options);
    }

    Process start(String... more) throws IOException {
        return start(List.of("nibble.cli.Nibble"), more);
    }

    /** Starts a command that waits once its journal has so many layers or parts, until {@link #release}. */
    Process startHeld(int parts, String... more) throws IOException {
        release();
        String journal = state().resolve("journal.jsonl").toString();
        return start(List.of(HeldNibble.class.getName(), journal, String.valueOf(parts), held().toString()), more);
    }

    private Path held() {
        return out.resolveSibling(out.getFileName() + ".held");
    }

    /** Waits until a held command waits. */
    void awaitHeld(Process process) throws IOException, InterruptedException {
        while (process.isAlive() && !Files.exists(held())) {
            Thread.sleep(2);
        }
        if (!process.isAlive()) {
            throw new AssertionError("ended before it could be held:\n" + log());
        }
    }

    /** Lets a held command go on. */
    void release() throws IOException {
        Files.deleteIfExists(held());
    }

    private Process start(List<String> main, String... more) throws IOException {
        List<String> arguments = new ArrayList<>(List.of(this.command, model.toString(), out.toString()));
        arguments.addAll(options);
        arguments.addAll(List.of(more));
        List<String> command = new ArrayList<>(List.of(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "--add-modules=jdk.incubator.vector",
                "--enable-native-access=ALL-UNNAMED",
                "-Xmx512m",
                "-XX:+UseSerialGC"));
        command.addAll(ClassArchive.options());
        command.addAll(QuickCompiler.options(String.join(" ", arguments)));
        command.addAll(main);
        command.addAll(arguments);
        return new ProcessBuilder(command)
                .redirectErrorStream(true)
                .redirectOutput(ProcessBuilder.Redirect.appendTo(log.toFile()))
                .start();
    }

    Path state() {
        return out.resolveSibling("." + out.getFileName() + ".unfinished");
    }

    /** Layers, or parts of a conversion, that the journal has now, as a process at work or killed has left it. */
    int journaled() throws IOException {
        return journaled(state().resolve("journal.jsonl"));
    }

    static int journaled(Path journal) throws IOException {
        if (!Files.exists(journal)) {
            return 0;
        }
        try (Stream<String> lines = Files.lines(journal)) {
            return (int)
                    lines.filter(line -> line.contains("\"entry\":{\"layer\"") || line.contains("\"entry\":{\"part\""))
                            .count();
        }
    }

    /** Waits until the journal has so many layers or parts, or the process has ended. */
    void await(Process process, int count) throws IOException, InterruptedException {
        while (process.isAlive() && journaled() < count) {
            Thread.sleep(2);
        }
    }

    String log() throws IOException {
        return Files.exists(log) ? Files.readString(log) : "";
    }

    /** Name and hash of each file of a finished output. */
    public static Map<String, String> hashes(Path folder) throws IOException {
        Map<String, String> hashes = new TreeMap<>();
        try (Stream<Path> files = Files.list(folder)) {
            for (Path file : files.toList()) {
                hashes.put(file.getFileName().toString(), Files.size(file) + " " + Sha256.of(file));
            }
        }
        return hashes;
    }
}
