package nibble.calibrate;

import java.util.EnumMap;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;
import nibble.calibrate.ProgressListener.Stage;

/** Counts work and wall time of a run and tells the listener. */
final class Progress {
    private final ProgressListener listener;
    private final int layers;
    private final double layerWork;
    private final Map<Stage, Long> nanos = new EnumMap<>(Stage.class);
    private int layer;
    private double done;
    private Stage stage = Stage.READ;
    private long since = System.nanoTime();

    /** @param layerWork work of a layer, in any unit that {@link #add} uses too */
    Progress(ProgressListener listener, int layers, double layerWork) {
        this.listener = listener;
        this.layers = layers;
        this.layerWork = layerWork;
    }

    void layer(int index) {
        layer = index;
        done = 0;
        listener.layerStarted(index, layers);
    }

    void stage(Stage next) {
        endStage();
        stage = next;
        listener.stageStarted(layer, next);
    }

    /** Ends the stage's clock. */
    void endStage() {
        long now = System.nanoTime();
        nanos.merge(stage, now - since, Long::sum);
        since = now;
    }

    void add(double work) {
        done = Math.min(done + work, layerWork);
        listener.progressed((layer + done / layerWork) / layers);
    }

    void layerFinished(QuantizationReport.Layer report) {
        done = layerWork;
        add(0);
        listener.layerFinished(layer, report);
    }

    Map<String, Double> seconds() {
        Map<String, Double> seconds = new TreeMap<>();
        nanos.forEach((key, value) -> seconds.put(key.name().toLowerCase(Locale.ROOT), value / 1e9));
        return seconds;
    }
}
