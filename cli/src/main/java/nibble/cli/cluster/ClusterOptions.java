package nibble.cli.cluster;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import nibble.cli.option.InputException;
import nibble.cli.option.UsageException;
import nibble.cli.terminal.Terminal;
import nibble.cluster.spark.Cluster;
import nibble.cluster.spark.ClusterSettings;
import nibble.files.output.StopSignal;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Option;

/** Holds the options for which cluster, and what each executor gets. */
final class ClusterOptions {
    private static final String SPARK = "org.apache.spark.api.java.JavaSparkContext";

    @Option(
            names = "--master",
            paramLabel = "URL",
            description = "The cluster: spark://HOST:7077, yarn, k8s://…, local[N] for threads of this process, or"
                    + " local-cluster[N,CORES,MEGABYTES] for N processes of this machine. Default: what spark-submit"
                    + " says.")
    private @Nullable String master;

    @Option(
            names = "--executor-cores",
            paramLabel = "N",
            description = "Cores of an executor, all of which its one engine uses. Default: Spark's.")
    private @Nullable Integer cores;

    @Option(
            names = "--executor-memory",
            paramLabel = "SIZE",
            description =
                    "Java heap of an executor, such as 8g; weights lie in mapped files beside it. Default: 2g, or what"
                            + " local-cluster says.")
    private @Nullable String memory;

    @Option(
            names = "--gpus",
            description = "Give each executor one card, which Spark's workers offer as the resource gpu.")
    private boolean gpus;

    @Option(
            names = "--conf",
            paramLabel = "KEY=VALUE",
            description = "A property of Spark, such as spark.speculation=false. May be given several times.")
    private List<String> properties = new ArrayList<>();

    /** Checks the options, and that Spark's jars are there. */
    void check(Terminal terminal) {
        settings();
        terminal.note("cluster: " + (master == null ? "as spark-submit says" : master));
        requireSpark();
    }

    /**
     * Refuses to run without Spark's jars.
     *
     * @throws InputException saying how to get them
     */
    static void requireSpark() {
        try {
            Class.forName(SPARK, false, ClusterOptions.class.getClassLoader());
        } catch (ClassNotFoundException e) {
            throw new InputException(
                    "Apache Spark's jars are not here, which 'nibble cluster' needs: make a distribution that has them"
                            + " with './nibble dist --with-spark', or in a checkout run 'mvn -Pspark -DskipTests"
                            + " package'");
        }
    }

    /** Connects to the cluster. */
    Cluster open(StopSignal stop) {
        return Cluster.open(settings(), stop);
    }

    private ClusterSettings settings() {
        Map<String, String> all = new HashMap<>();
        if (memory != null) {
            all.put("spark.executor.memory", memory);
        }
        if (cores != null) {
            if (cores < 1) {
                throw new UsageException("--executor-cores " + cores + ": at least 1");
            }
            all.put("spark.executor.cores", Integer.toString(cores));
        }
        if (gpus) {
            all.put("spark.executor.resource.gpu.amount", "1");
            all.put("spark.task.resource.gpu.amount", "1");
        }
        for (String property : properties) {
            int equals = property.indexOf('=');
            if (equals < 1 || !property.startsWith("spark.")) {
                throw new UsageException("--conf " + property + ": spark.NAME=VALUE expected");
            }
            all.put(property.substring(0, equals), property.substring(equals + 1));
        }
        return new ClusterSettings(master, all);
    }
}
