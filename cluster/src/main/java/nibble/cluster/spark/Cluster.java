package nibble.cluster.spark;

import java.io.Serializable;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;
import java.util.stream.IntStream;
import nibble.files.Reasons;
import nibble.files.output.StopSignal;
import nibble.files.output.StoppedException;
import org.apache.spark.SparkConf;
import org.apache.spark.SparkException;
import org.apache.spark.TaskContext;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.rdd.RDD;
import org.jspecify.annotations.Nullable;
import scala.collection.Iterator;
import scala.collection.immutable.Seq;
import scala.jdk.javaapi.CollectionConverters;
import scala.reflect.ClassTag$;
import scala.runtime.AbstractFunction1;
import scala.runtime.AbstractFunction2;
import scala.runtime.BoxedUnit;

/** Holds the driver's side of a Spark cluster. Several threads may run tasks at a time. */
public final class Cluster implements AutoCloseable {
    private static final String EXECUTOR_OPTIONS = "spark.executor.extraJavaOptions";
    private static final int POLL_MILLIS = 200;
    /** As many as Spark makes of a task by default. */
    private static final int ATTEMPTS = 4;

    /** Takes the result of a task. */
    @FunctionalInterface
    public interface Done<R> {
        /**
         * Takes it, on the thread that asked.
         *
         * @param index of the task's input
         */
        void of(int index, R result);
    }

    /** Says that Spark gave a job up. */
    private static final class FailedJobException extends ClusterException {
        private static final long serialVersionUID = 1;

        FailedJobException(String message, Throwable cause) {
            super(message, cause);
        }
    }

    /** What a run of tasks tells the thread that waits. */
    private sealed interface Event<R> {
        record Result<R>(int index, Outcome<R> outcome) implements Event<R> {}

        record End<R>(@Nullable Throwable failure) implements Event<R> {}
    }

    private final JavaSparkContext spark;
    private final StopSignal stop;
    private final @Nullable SparkFolder folder;
    private final AtomicLong groups = new AtomicLong();

    private Cluster(JavaSparkContext spark, StopSignal stop, @Nullable SparkFolder folder) {
        this.spark = spark;
        this.stop = stop;
        this.folder = folder;
    }

    /**
     * Opens a cluster.
     *
     * @param stop ends what runs there when it is raised
     * @throws ClusterException if no cluster is named or it cannot be reached
     */
    public static Cluster open(ClusterSettings settings, StopSignal stop) {
        SparkLog.quiet();
        SparkConf conf = new SparkConf();
        settings.properties().forEach(conf::set);
        if (settings.master() != null) {
            conf.setMaster(settings.master());
        }
        if (!conf.contains("spark.master")) {
            throw new ClusterException("no cluster is named: give --master URL, as spark://host:7077 or local[2]");
        }
        String master = conf.get("spark.master");
        setDefaults(conf);
        @Nullable SparkFolder folder = LocalCluster.isOne(master) ? LocalCluster.prepare(conf, master) : null;
        conf.setIfMissing("spark.executor.memory", "2g");
        try {
            return new Cluster(new JavaSparkContext(conf), stop, folder);
        } catch (Exception e) {
            // Scala throws checked exceptions that it does not declare.
            if (folder != null) {
                folder.close();
            }
            throw new ClusterException(
                    "the cluster " + master + " cannot be used: " + Reasons.of(e)
                            + "; check --master and the memory of executors",
                    e);
        }
    }

    private static void setDefaults(SparkConf conf) {
        conf.setIfMissing("spark.app.name", "nibble");
        conf.setIfMissing("spark.ui.enabled", "false");
        conf.setIfMissing("spark.ui.showConsoleProgress", "false");
        // A slow host's task runs elsewhere too; what it writes has a name of its own.
        conf.setIfMissing("spark.speculation", "true");
        conf.setIfMissing("spark.speculation.minTaskRuntime", "30s");
        conf.setIfMissing("spark.executorEnv.SPARK_SCALA_VERSION", "2.13");
        // Executors find Nibble where the driver does: a host has the distribution at the same path.
        conf.setIfMissing("spark.executor.extraClassPath", System.getProperty("java.class.path"));
        // One engine of an executor takes all its cores, so it runs one task at a time.
        if (conf.contains("spark.executor.cores")) {
            conf.setIfMissing("spark.task.cpus", conf.get("spark.executor.cores"));
        }
        String options = "--add-modules=jdk.incubator.vector --enable-native-access=ALL-UNNAMED"
                + " --sun-misc-unsafe-memory-access=allow "
                + SparkLog.EXECUTOR_OPTION;
        conf.set(EXECUTOR_OPTIONS, (options + " " + conf.get(EXECUTOR_OPTIONS, "")).strip());
    }

    /** Returns Spark's context, which ends by itself where the cluster's master does not answer for a minute. */
    private JavaSparkContext connected() {
        if (spark.sc().isStopped()) {
            throw new ClusterException("the cluster " + spark.getConf().get("spark.master")
                    + " cannot be reached: its master does not answer; check --master, and whether the master runs");
        }
        return spark;
    }

    /** Returns how many tasks the executors run at a time, as far as Spark knows. */
    public int slots() {
        return Math.max(1, connected().defaultParallelism() / spark.getConf().getInt("spark.task.cpus", 1));
    }

    /** Returns how many tasks the executors that are there now run at a time; others may come. */
    public int slotsNow() {
        // The driver counts as one.
        int executors = connected().sc().statusTracker().getExecutorInfos().length - 1;
        if (executors < 1 || !spark.getConf().contains("spark.executor.cores")) {
            return slots();
        }
        int cores = spark.getConf().getInt("spark.executor.cores", 1);
        return executors * Math.max(1, cores / spark.getConf().getInt("spark.task.cpus", 1));
    }

    /**
     * Runs a task for each input, wherever there is room.
     *
     * @param done hears of each result as it comes, on this thread, once for each input
     * @throws ClusterException if a task failed for good
     * @throws StoppedException if the stop signal was raised
     */
    public <T, R> void run(String name, List<T> inputs, ClusterTask<T, R> task, Done<R> done) {
        run(name, inputs, task, false, done);
    }

    private <T, R> void run(String name, List<T> inputs, ClusterTask<T, R> task, boolean alone, Done<R> done) {
        if (inputs.isEmpty()) {
            return;
        }
        BlockingQueue<Event<R>> events = new LinkedBlockingQueue<>();
        RDD<T> parts = rdd(inputs, alone);
        String group = "nibble-" + groups.incrementAndGet();
        Thread.ofPlatform().daemon().name(group).start(() -> events.add(submit(group, name, parts, task, events)));
        try {
            await(name, events, done);
        } catch (RuntimeException | Error e) {
            spark.cancelJobGroup(group);
            throw e;
        }
    }

    /**
     * Runs one task that has no second attempt beside it, however long it takes: one that waits for others would take
     * their places twice. If its executor is lost, it begins again.
     */
    public <T, R> R runAlone(String name, T input, ClusterTask<T, R> task) {
        List<R> results = new ArrayList<>();
        for (int attempt = 1; results.isEmpty(); attempt++) {
            try {
                run(name, List.of(input), task, true, (_, result) -> results.add(result));
            } catch (FailedJobException e) {
                if (attempt == ATTEMPTS) {
                    throw e;
                }
            }
        }
        return results.getFirst();
    }

    /** Runs one task. */
    public <T, R> R run(String name, T input, ClusterTask<T, R> task) {
        List<R> results = new ArrayList<>();
        run(name, List.of(input), task, (_, result) -> results.add(result));
        return results.getFirst();
    }

    /** Spark starts second attempts of all tasks but those of a barrier stage, which dynamic allocation cannot have. */
    private <T> RDD<T> rdd(List<T> inputs, boolean alone) {
        RDD<T> rdd = connected().parallelize(inputs, inputs.size()).rdd();
        return alone && !spark.getConf().getBoolean("spark.dynamicAllocation.enabled", false)
                ? rdd.barrier().mapPartitions(new Same<>(), true, rdd.elementClassTag())
                : rdd;
    }

    /** Hands a partition on as it is. */
    private static final class Same<T> extends AbstractFunction1<Iterator<T>, Iterator<T>> implements Serializable {
        private static final long serialVersionUID = 1;

        @Override
        public Iterator<T> apply(Iterator<T> partition) {
            return partition;
        }
    }

    private <T, R> Event<R> submit(
            String group, String name, RDD<T> inputs, ClusterTask<T, R> task, BlockingQueue<Event<R>> events) {
        try {
            spark.setJobGroup(group, name);
            Seq<Object> partitions = CollectionConverters.<Object>asScala(IntStream.range(0, inputs.getNumPartitions())
                            .<Object>mapToObj(i -> i)
                            .toList())
                    .toSeq();
            AbstractFunction2<Object, Outcome<R>, BoxedUnit> heard = new AbstractFunction2<>() {
                @Override
                public BoxedUnit apply(Object index, Outcome<R> outcome) {
                    events.add(new Event.Result<>((Integer) index, outcome));
                    return BoxedUnit.UNIT;
                }
            };
            AbstractFunction2<TaskContext, Iterator<T>, Outcome<R>> body = new TaskBody<>(task);
            spark.sc().runJob(inputs, body, partitions, heard, ClassTag$.MODULE$.apply(Outcome.class));
            return new Event.End<>(null);
        } catch (Throwable e) {
            // Scala throws checked exceptions that it does not declare.
            return new Event.End<>(e);
        }
    }

    private <R> void await(String name, BlockingQueue<Event<R>> events, Done<R> done) {
        while (true) {
            if (stop.raised()) {
                throw new StoppedException("stopped while the cluster worked");
            }
            switch (next(events)) {
                case null -> {}
                case Event.Result<R>(int index, Outcome<R> outcome) -> {
                    if (outcome.error() != null) {
                        throw new ClusterException(outcome.error());
                    }
                    done.of(index, Objects.requireNonNull(outcome.result()));
                }
                case Event.End<R>(Throwable failure) -> {
                    if (failure != null) {
                        throw failed(name, failure);
                    }
                    return;
                }
            }
        }
    }

    private static <R> @Nullable Event<R> next(BlockingQueue<Event<R>> events) {
        try {
            return events.poll(POLL_MILLIS, TimeUnit.MILLISECONDS);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new StoppedException("interrupted while the cluster worked");
        }
    }

    private static RuntimeException failed(String name, Throwable failure) {
        if (failure instanceof Error error) {
            throw error;
        }
        Throwable meant = failure;
        while (meant instanceof SparkException && meant.getCause() != null) {
            meant = meant.getCause();
        }
        String words = Reasons.of(meant).lines().findFirst().orElse("");
        return new FailedJobException(
                name + " failed on the cluster: " + words + "; the executors' logs (stderr) have the rest", failure);
    }

    @Override
    public void close() {
        spark.close();
        if (folder != null) {
            folder.close();
        }
    }
}
