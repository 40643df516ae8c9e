package nibble.cluster.spark;

import java.util.Arrays;
import org.apache.spark.SparkEnv;
import org.apache.spark.TaskContext;
import org.apache.spark.resource.ResourceInformation;
import org.jspecify.annotations.Nullable;
import scala.Option;

/**
 * Says where a task runs.
 *
 * @param attempt name of this attempt, of letters, digits, hyphens and underscores. No other task has it, not even one
 *     of an earlier command, whose executors may work on for a moment after its driver was killed
 * @param threads cores that are this executor's
 * @param card number of the card that Spark's resource scheduling gave this task; negative where it gave none
 */
public record TaskPlace(String attempt, int threads, int card) {
    /** Spark's name of the resource. */
    private static final String GPU = "gpu";

    static TaskPlace of(TaskContext context) {
        Option<ResourceInformation> given = context.resources().get(GPU);
        @Nullable
        String first = given.isEmpty()
                ? null
                : Arrays.stream(given.get().addresses()).findFirst().orElse(null);
        return new TaskPlace(attempt(context), coresOfExecutor(), first == null ? -1 : card(first));
    }

    private static String attempt(TaskContext context) {
        String application = SparkEnv.get().conf().getAppId().replaceAll("[^A-Za-z0-9_-]", "_");
        return application + "-" + context.taskAttemptId();
    }

    private static int coresOfExecutor() {
        return SparkEnv.get()
                .conf()
                .getInt("spark.executor.cores", Runtime.getRuntime().availableProcessors());
    }

    private static int card(String address) {
        try {
            return Integer.parseInt(address);
        } catch (NumberFormatException e) {
            throw new ClusterException(
                    "Spark gave this executor the card \"" + address + "\"; a number is expected, as nvidia-smi"
                            + " --query-gpu=index gives it: check spark.executor.resource.gpu.discoveryScript",
                    e);
        }
    }

    /**
     * Returns the device to compute on.
     *
     * @param asked the name of a device, or {@code auto}: the card that Spark gave, otherwise the CPU
     */
    public String device(String asked) {
        if (!asked.equals("auto")) {
            return asked;
        }
        return card >= 0 ? "cuda:" + card : "cpu";
    }
}
