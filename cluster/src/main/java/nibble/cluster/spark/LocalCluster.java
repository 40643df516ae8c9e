package nibble.cluster.spark;

import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.apache.spark.SparkConf;

/**
 * Spark's cluster of separate processes on this machine, {@code local-cluster[workers,cores,megabytes]}. Its workers
 * want an installation of Spark; here they get the driver's class path and an empty folder in its place.
 */
final class LocalCluster {
    private static final Pattern MASTER =
            Pattern.compile("local-cluster\\[\\s*([0-9]+)\\s*,\\s*([0-9]+)\\s*,\\s*([0-9]+)\\s*]");

    private LocalCluster() {}

    static boolean isOne(String master) {
        return MASTER.matcher(master).matches();
    }

    /** @return what workers take for their installation */
    static SparkFolder prepare(SparkConf conf, String master) {
        Matcher parts = MASTER.matcher(master);
        if (!parts.matches()) {
            throw new IllegalArgumentException(master);
        }
        SparkFolder folder = SparkFolder.make();
        System.setProperty("spark.testing", "true");
        System.setProperty("spark.test.home", folder.path().toString());
        conf.set("spark.testing", "true");
        conf.set("spark.test.home", folder.path().toString());
        conf.setIfMissing("spark.executor.cores", parts.group(2));
        conf.setIfMissing("spark.task.cpus", parts.group(2));
        conf.setIfMissing("spark.executor.memory", parts.group(3) + "m");
        return folder;
    }
}
