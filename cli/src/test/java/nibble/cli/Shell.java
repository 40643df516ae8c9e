package nibble.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import java.util.stream.Collectors;
import nibble.cli.start.ClassArchive;

/**
 * Lines of bash that start this build by its launchers, in a folder with a source folder and an unpacked distribution.
 */
final class Shell {
    static final Path ROOT = Path.of(System.getProperty("nibble.root"));
    static final Path MODEL = ROOT.resolve("models/wiki-7m");

    /** The folders and files that this class makes. */
    static final Set<String> OWN = Set.of("source", "dist", "stdout", "stderr", "tiny");

    private final Path folder;

    record Ended(int exitCode, String out, String err) {
        void assertNoTrace() {
            assertThat(out + err).doesNotContain("\tat ", "Exception");
        }
    }

    /** Lays out both in {@code folder}, with a runtime that adds the class path of the tests. */
    Shell(Path folder) throws IOException {
        this.folder = folder;
        Path source = folder.resolve("source");
        Path shared = ROOT.resolve("cli/src/main/dist/launch");
        Files.createDirectories(source.resolve("cli/src/main/dist"));
        Files.createDirectories(source.resolve("cli/target/lib"));
        Files.copy(ROOT.resolve("nibble"), source.resolve("nibble"));
        Files.copy(shared, source.resolve("cli/src/main/dist/launch"));
        Files.writeString(source.resolve("pom.xml"), "");
        Files.writeString(source.resolve("cli/target/lib/.built"), "");
        runtime(source.resolve("jdk"));
        Files.createDirectories(folder.resolve("dist/lib"));
        Files.copy(ROOT.resolve("cli/src/main/dist/nibble"), folder.resolve("dist/nibble"));
        Files.copy(shared, folder.resolve("dist/lib/launch"));
        runtime(folder.resolve("dist/runtime"));
        SmallModel.ofLayers(folder.resolve("tiny"), 5, 128);
    }

    private static void runtime(Path home) throws IOException {
        Files.createDirectories(home.resolve("bin"));
        Files.writeString(home.resolve("release"), "JAVA_VERSION=\"25.0.1\"\n");
        Path java = home.resolve("bin/java");
        Files.writeString(java, """
            #!/usr/bin/env bash
            arguments=()
            while [ $# -gt 0 ]; do
              if [ "$1" = -cp ]; then arguments+=(%s); shift; else arguments+=("$1"); fi
              shift
            done
            [ -z "${SHOW:-}" ] || printf '%%s\\n' "${arguments[@]}" >"$SHOW"
            exec '%s/bin/java' "${arguments[@]}"
            """.formatted(
                        ClassArchive.options().stream()
                                .map(option -> "'" + option + "'")
                                .collect(Collectors.joining(" ")),
                        System.getProperty("java.home")));
        Files.setPosixFilePermissions(java, PosixFilePermissions.fromString("rwxr-xr-x"));
    }

    /**
     * Runs a line of bash in which {@code $N} is the launcher, {@code $M} the bundled model, {@code $T} a tiny one of
     * five layers and {@code $F} the folder.
     */
    Ended run(String launcher, String line) throws Exception {
        ProcessBuilder builder = new ProcessBuilder("bash", "-c", line)
                .redirectInput(Path.of("/dev/null").toFile())
                .redirectOutput(folder.resolve("stdout").toFile())
                .redirectError(folder.resolve("stderr").toFile())
                .directory(folder.toFile());
        builder.environment().put("N", "bash " + folder.resolve(launcher));
        builder.environment().put("M", MODEL.toString());
        builder.environment().put("T", folder.resolve("tiny").toString());
        builder.environment().put("F", folder.toString());
        builder.environment()
                .put("NIBBLE_JAVA_HOME", folder.resolve("source/jdk").toString());
        builder.environment().put("NIBBLE_JAVA_OPTS", String.join(" ", QuickCompiler.options(line)));
        Process process = builder.start();
        assertThat(process.waitFor(10, TimeUnit.MINUTES)).as(line).isTrue();
        return new Ended(
                process.waitFor(),
                Files.readString(folder.resolve("stdout")),
                Files.readString(folder.resolve("stderr")));
    }

    /** As {@link #run}, by the launcher of the source folder. */
    Ended run(String line) throws Exception {
        return run("source/nibble", line);
    }

    /**
     * As {@link #run(String)}, with the right to mount; root has it, others may have it in a name space of their own.
     */
    Ended mounting(String line) throws Exception {
        assumeTrue(run("unshare -rm true").exitCode() == 0, "no right to make a name space to mount in");
        return run("unshare -rm bash -ec '" + line + "'");
    }

    /**
     * As {@link #run(String)}. Root may read and write whatever the bits say, unless it gives this right up; others
     * never may.
     */
    Ended withoutRoot(String line) throws Exception {
        String drop = "setpriv --bounding-set=-dac_override,-dac_read_search --inh-caps=-dac_override,-dac_read_search";
        boolean root = run("[ $(id -u) = 0 ]").exitCode() == 0;
        assumeTrue(!root || run(drop + " true").exitCode() == 0, "root cannot give up its right to every file here");
        return run((root ? drop + " " : "") + "bash -c '" + line + "'");
    }
}
