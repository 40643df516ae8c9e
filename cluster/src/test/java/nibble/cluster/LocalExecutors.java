package nibble.cluster;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import nibble.cluster.spark.Cluster;
import nibble.cluster.spark.ClusterSettings;
import nibble.files.output.StopSignal;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.extension.BeforeAllCallback;
import org.junit.jupiter.api.extension.ExtensionContext;

/** Three executors on this machine, each a process, which all test classes share: they take long to start. */
final class LocalExecutors implements BeforeAllCallback {
    private static @Nullable Cluster cluster;

    /** JUnit closes the cluster after the last class. */
    @Override
    public void beforeAll(ExtensionContext context) {
        cluster = context.getRoot()
                .getStore(ExtensionContext.Namespace.GLOBAL)
                .computeIfAbsent(LocalExecutors.class, _ -> open(), Cluster.class);
    }

    static Cluster cluster() {
        return Objects.requireNonNull(cluster);
    }

    private static Cluster open() {
        return Cluster.open(
                new ClusterSettings(
                        "local-cluster[3,1,2048]",
                        Map.ofEntries(
                                // Cards that are not there: who asks for the CPU never looks for them.
                                Map.entry("spark.worker.resource.gpu.amount", "1"),
                                Map.entry("spark.worker.resource.gpu.discoveryScript", cards().toString()),
                                Map.entry("spark.executor.resource.gpu.amount", "1"),
                                Map.entry("spark.task.resource.gpu.amount", "1"),
                                Map.entry(
                                        "spark.executor.extraJavaOptions",
                                        "-XX:+UseSerialGC -Xss4m " + KilledDriver.compiler()),
                                // A machine that is slow, or halted for minutes, loses no executor: tests kill theirs.
                                Map.entry("spark.network.timeout", "900s"),
                                Map.entry("spark.worker.timeout", "900"),
                                // A duplicate of each task that takes a little longer than others: none may do harm.
                                Map.entry("spark.speculation.minTaskRuntime", "500ms"),
                                Map.entry("spark.speculation.quantile", "0.5"),
                                Map.entry("spark.speculation.multiplier", "1.1"),
                                // Both are file systems of Hadoop by their schemes; of the second the class is absent.
                                Map.entry("spark.hadoop.fs.store.impl", ObjectStore.class.getName()),
                                Map.entry("spark.hadoop.fs.absent.impl", "nibble.cluster.Absent"))),
                new StopSignal());
    }

    /** Returns a program that names card 0 to the first worker that asks, card 1 to the next. */
    private static Path cards() {
        try {
            Path folder = Files.createTempDirectory("nibble-cards-");
            Path script = folder.resolve("cards");
            // The last of these is deleted first.
            Stream.concat(Stream.of(folder, script), IntStream.range(0, 3).mapToObj(i -> folder.resolve("given-" + i)))
                    .forEach(path -> path.toFile().deleteOnExit());
            Files.writeString(script, """
                #!/bin/sh
                card=0
                while ! mkdir "%s/given-$card" 2>/dev/null; do card=$((card + 1)); done
                echo "{\\"name\\": \\"gpu\\", \\"addresses\\": [\\"$card\\"]}"
                """.formatted(folder));
            Files.setPosixFilePermissions(script, PosixFilePermissions.fromString("rwx------"));
            return script;
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** The processes of executors that workers started here; others are programs that end by themselves. */
    private static List<ProcessHandle> processes() {
        return ProcessHandle.current()
                .children()
                .filter(child -> child.info()
                        .command()
                        .filter(of -> of.endsWith("/java"))
                        .isPresent())
                .toList();
    }

    /** Kills one with SIGKILL, as a failing host would end it, and waits until it is gone. */
    static void killOne() {
        ProcessHandle one = processes().getFirst();
        if (!one.destroyForcibly()) {
            throw new IllegalStateException("executor " + one.pid() + " could not be killed");
        }
        // Without a limit: a machine that is busy, or was halted meanwhile, is no failure.
        one.onExit().join();
    }
}
