package nibble.cluster.spark;

import java.io.Serializable;
import nibble.checkpoint.source.BadCheckpointException;
import nibble.datasets.BadDatasetException;
import nibble.engine.backend.MissingRowException;
import nibble.eval.NonFiniteLogProbabilityException;
import org.apache.spark.SparkEnv;
import org.apache.spark.TaskContext;
import scala.collection.Iterator;
import scala.runtime.AbstractFunction2;

/** Runs a task on the one element of its partition. */
final class TaskBody<T, R> extends AbstractFunction2<TaskContext, Iterator<T>, Outcome<R>> implements Serializable {
    private static final long serialVersionUID = 1;

    private final ClusterTask<T, R> task;

    TaskBody(ClusterTask<T, R> task) {
        this.task = task;
    }

    @Override
    public Outcome<R> apply(TaskContext context, Iterator<T> partition) {
        try {
            return new Outcome<>(task.run(partition.next(), TaskPlace.of(context)), null);
        } catch (BadCheckpointException
                | BadDatasetException
                | MissingRowException
                | NonFiniteLogProbabilityException
                | ClusterException e) {
            // Another attempt would end the same way.
            return new Outcome<>(
                    null, e.getMessage() + " (executor " + SparkEnv.get().executorId() + " on " + host() + ")");
        }
    }

    private static String host() {
        return SparkEnv.get().blockManager().blockManagerId().host();
    }
}
