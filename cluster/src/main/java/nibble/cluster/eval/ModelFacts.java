package nibble.cluster.eval;

import java.io.Serializable;
import java.util.Map;
import nibble.cluster.spark.ClusterTask;
import nibble.cluster.spark.EnginePlace;
import nibble.cluster.spark.ExecutorEngine;
import nibble.cluster.spark.TaskPlace;

/**
 * Holds what the driver has to know of a model that only executors load.
 *
 * @param description of the device
 * @param kind of the device, as {@code cpu}
 * @param sequencesPerBatch of a window of so many tokens as were asked about
 * @param identity everything that determines the bits of the model's answers, by name
 */
record ModelFacts(
        String description,
        String kind,
        int contextTokens,
        int vocabularySize,
        int tokensPerPass,
        int sequencesPerBatch,
        Map<String, String> identity)
        implements Serializable {

    /**
     * Asks an executor.
     *
     * @param place of the engine
     */
    record Question(EnginePlace place) implements ClusterTask<Integer, ModelFacts> {
        @Override
        public ModelFacts run(Integer windowTokens, TaskPlace task) {
            return ExecutorEngine.use(
                    place,
                    task,
                    engine -> new ModelFacts(
                            engine.backend().description(),
                            engine.backend().kind().label(),
                            engine.model().contextTokens(),
                            engine.model().vocabularySize(),
                            engine.model().tokensPerPass(),
                            engine.model()
                                    .sequencesPerBatch(Math.min(
                                            windowTokens, engine.model().contextTokens())),
                            engine.identity()));
        }
    }
}
