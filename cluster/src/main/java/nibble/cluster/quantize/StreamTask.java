package nibble.cluster.quantize;

import java.time.Duration;
import java.util.Optional;
import nibble.calibrate.SeparateLayers;
import nibble.calibrate.job.QuantizationJob;
import nibble.cluster.spark.ClusterTask;
import nibble.cluster.spark.TaskPlace;
import nibble.datasets.TokenBlocks;
import nibble.files.output.StopSignal;

/**
 * Runs the calibration text through the layers once and leaves the second moments of each in the shared folder. Begins
 * again where an executor was lost, and makes only those that nobody has.
 *
 * @param blocks calibration tokens
 * @param first the layers before it are durable
 * @param ahead moments that may wait for a task
 */
record StreamTask(LayerPlace place, int[][] blocks, int first, int ahead) implements ClusterTask<Integer, Integer> {
    /** As long as nothing moves, it waits; then it takes it that no other task can run, and goes on. */
    private static final Duration PATIENCE = Duration.ofMinutes(2);

    private static final Duration POLL = Duration.ofMillis(100);

    @Override
    public Integer run(Integer nothing, TaskPlace task) {
        return place.use(task, (source, backend, options) -> {
            QuantizationJob job = new QuantizationJob(source, Optional.of(new TokenBlocks(blocks, 0, "")), options);
            SeparateLayers.stream(
                    job,
                    backend,
                    this::lacks,
                    (layer, moments) -> {
                        await();
                        place.shared().write(LayerPlace.MOMENTS + layer, task.attempt(), moments::write);
                    },
                    new StopSignal());
            return nothing;
        });
    }

    private boolean lacks(int layer) {
        return layer >= first
                && !place.shared().has(LayerPlace.MOMENTS + layer)
                && !place.shared().has(LayerPlace.LAYER + layer)
                && !place.shared().has(LayerPlace.DURABLE + layer);
    }

    /** Until few enough moments wait: they are large. */
    private void await() {
        long waiting = place.shared().count(LayerPlace.MOMENTS);
        long since = System.nanoTime();
        while (waiting >= ahead && System.nanoTime() - since < PATIENCE.toNanos()) {
            try {
                Thread.sleep(POLL);
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
                throw new IllegalStateException("interrupted while moments waited", e);
            }
            long now = place.shared().count(LayerPlace.MOMENTS);
            since = now == waiting ? since : System.nanoTime();
            waiting = now;
        }
    }
}
