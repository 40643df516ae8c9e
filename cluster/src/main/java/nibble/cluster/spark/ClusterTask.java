package nibble.cluster.spark;

import java.io.Serializable;

/**
 * Makes the result of one partition. Runs in an executor, perhaps in several at once or again, if one is lost or slow:
 * it changes nothing but what it writes under names of its own.
 *
 * @param <T> what a partition holds
 * @param <R> its result; both can be serialized
 */
public interface ClusterTask<T, R> extends Serializable {
    R run(T input, TaskPlace place);
}
