package nibble.cluster.quantize;

import java.util.Optional;
import nibble.calibrate.SeparateLayers;
import nibble.calibrate.journal.FinishedLayer;
import nibble.calibrate.stream.LayerMoments;
import nibble.cluster.spark.ClusterTask;
import nibble.cluster.spark.TaskPlace;

/**
 * Quantizes a layer and leaves it in the shared folder.
 *
 * @param withMoments whether its second moments are there
 */
record LayerTask(LayerPlace place, boolean withMoments) implements ClusterTask<Integer, Integer> {
    @Override
    public Integer run(Integer layer, TaskPlace task) {
        String name = LayerPlace.LAYER + layer;
        if (place.shared().has(name) || place.shared().has(LayerPlace.DURABLE + layer)) {
            return layer;
        }
        return place.use(task, (source, backend, options) -> {
            Optional<LayerMoments> moments = withMoments
                    ? Optional.of(place.shared()
                            .read(LayerPlace.MOMENTS + layer, in -> LayerMoments.read(in, source.config(), layer)))
                    : Optional.empty();
            FinishedLayer made = SeparateLayers.layer(source, options, layer, backend, moments);
            place.shared().write(name, task.attempt(), out -> LayerFile.write(made, out));
            return layer;
        });
    }
}
