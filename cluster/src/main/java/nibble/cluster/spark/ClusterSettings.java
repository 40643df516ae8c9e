package nibble.cluster.spark;

import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * Says which cluster, and how it is used.
 *
 * @param master Spark's URL of it; null where {@code spark-submit} has said it
 * @param properties of Spark, which come before those that Nibble would choose
 */
public record ClusterSettings(@Nullable String master, Map<String, String> properties) {
    public ClusterSettings {
        properties = Map.copyOf(properties);
    }
}
