package nibble.cluster.eval;

import java.io.Serializable;
import nibble.cluster.spark.ExecutorEngine;

/**
 * Computes a partition's result with an engine.
 *
 * @param <T> what a partition holds
 * @param <R> its result
 */
@FunctionalInterface
interface EngineWork<T, R> extends Serializable {
    R of(ExecutorEngine engine, T input);
}
