package nibble.cluster;

import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Objects;
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
                        Map.of(
                                "spark.executor.extraJavaOptions", "-XX:+UseSerialGC -Xss4m",
                                // A duplicate of each task that takes a little longer than others: none may do harm.
                                "spark.speculation.minTaskRuntime", "500ms",
                                "spark.speculation.quantile", "0.5",
                                "spark.speculation.multiplier", "1.1",
                                // Both are file systems of Hadoop by their schemes; of the second the class is absent.
                                "spark.hadoop.fs.store.impl", ObjectStore.class.getName(),
                                "spark.hadoop.fs.absent.impl", "nibble.cluster.Absent")),
                new StopSignal());
    }

    /** The processes that workers started here. */
    static List<ProcessHandle> processes() {
        return ProcessHandle.current().children().toList();
    }

    /** Kills one with SIGKILL, as a failing host would end it, and waits until it is gone. */
    static void killOne() {
        ProcessHandle one = processes().getFirst();
        if (!one.destroyForcibly()) {
            throw new IllegalStateException("executor " + one.pid() + " could not be killed");
        }
        one.onExit()
                .orTimeout(Duration.ofSeconds(20).toSeconds(), java.util.concurrent.TimeUnit.SECONDS)
                .join();
    }
}
