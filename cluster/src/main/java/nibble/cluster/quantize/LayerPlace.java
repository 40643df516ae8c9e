package nibble.cluster.quantize;

import java.io.Serializable;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import nibble.calibrate.job.QuantizeOptions;
import nibble.checkpoint.Checkpoint;
import nibble.checkpoint.Fingerprint;
import nibble.cluster.shared.SharedFolder;
import nibble.cluster.spark.ClusterException;
import nibble.cluster.spark.ClusterTask;
import nibble.cluster.spark.TaskPlace;
import nibble.engine.Backends;
import nibble.engine.backend.Backend;

/**
 * Says what the tasks of one model's quantization have in common.
 *
 * @param model folder or file, the same on every host
 * @param options with the driver's threads; an executor takes its own
 * @param identity what must be the same on all hosts; empty where an executor is asked for it
 */
record LayerPlace(String model, QuantizeOptions options, SharedFolder shared, Map<String, String> identity)
        implements Serializable {
    static final String MOMENTS = "moments-";
    static final String LAYER = "layer-";
    static final String DURABLE = "durable-";

    private static final String ARITHMETIC = "device";

    /** A task's work, with what it opened. */
    @FunctionalInterface
    interface Use<R> {
        R of(Checkpoint source, Backend backend, QuantizeOptions options);
    }

    /** Opens model and backend for a task. */
    <R> R use(TaskPlace place, Use<R> use) {
        try (Checkpoint source = Checkpoint.open(Path.of(model));
                Backend backend = Backends.open("cpu", place.threads())) {
            List<String> differences = identity.isEmpty()
                    ? List.of()
                    : new Fingerprint(identity(source, backend)).differencesFrom(new Fingerprint(identity));
            if (!differences.isEmpty()) {
                throw new ClusterException("hosts differ, so the output would not be that of one machine: "
                        + String.join("; ", differences));
            }
            return use.of(source, backend, options.withThreads(place.threads()));
        }
    }

    private static Map<String, String> identity(Checkpoint source, Backend backend) {
        Map<String, String> machine = new LinkedHashMap<>();
        machine.put("Java and processor", Runtime.version() + " " + System.getProperty("os.arch"));
        machine.put(ARITHMETIC, backend.arithmetic());
        return Fingerprint.of(machine, source).values();
    }

    LayerPlace with(SharedFolder folder, Map<String, String> found) {
        return new LayerPlace(model, options, folder, found);
    }

    /** What the executors' arithmetic is, as a journal names it. */
    String arithmetic() {
        return identity.getOrDefault(ARITHMETIC, "");
    }

    /** Asks an executor what it has. */
    record Question(LayerPlace place) implements ClusterTask<Integer, Map<String, String>> {
        @Override
        public Map<String, String> run(Integer nothing, TaskPlace task) {
            return place.use(task, (source, backend, _) -> new LinkedHashMap<>(identity(source, backend)));
        }
    }
}
