package nibble.cluster.eval;

import java.util.List;
import java.util.Map;
import nibble.checkpoint.Fingerprint;
import nibble.cluster.spark.ClusterException;
import nibble.cluster.spark.ClusterTask;
import nibble.cluster.spark.EnginePlace;
import nibble.cluster.spark.ExecutorEngine;
import nibble.cluster.spark.TaskPlace;

/**
 * Does a partition's work with the executor's engine, which must be the one that the driver knows of: a host with
 * another processor, another Java or another copy of the model would give other bits.
 *
 * @param <T> what a partition holds
 * @param <R> its result
 */
record EngineTask<T, R>(EnginePlace place, Map<String, String> identity, EngineWork<T, R> work)
        implements ClusterTask<T, R> {
    @Override
    public R run(T input, TaskPlace task) {
        return ExecutorEngine.use(place, task, engine -> {
            List<String> differences = new Fingerprint(engine.identity()).differencesFrom(new Fingerprint(identity));
            if (!differences.isEmpty()) {
                throw new ClusterException("hosts differ, so results would not be those of one machine: "
                        + String.join("; ", differences));
            }
            return work.of(engine, input);
        });
    }
}
