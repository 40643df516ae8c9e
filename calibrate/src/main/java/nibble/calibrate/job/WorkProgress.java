package nibble.calibrate.job;

import java.util.ArrayList;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.function.Supplier;
import nibble.calibrate.job.ProgressListener.Stage;
import nibble.files.output.StopSignal;
import nibble.files.output.StoppedException;
import org.jspecify.annotations.Nullable;

/**
 * Counts the work and wall time of a run, tells the listener, and stops the run where it is asked to. Of one thread.
 */
public final class WorkProgress {
    private final ProgressListener listener;
    private final StopSignal stop;
    private final Runnable settle;
    private final int layers;
    private final Map<Stage, Long> nanos = new EnumMap<>(Stage.class);
    private final List<@Nullable Double> layerSeconds = new ArrayList<>();
    private final long start = System.nanoTime();
    private double allWork = 1;
    private double done;
    private double layerEnd;
    private int layer;
    private long layerStart;
    private long forwardTokens;
    private @Nullable Stage stage;
    private long since;

    /**
     * Makes the progress of a run.
     *
     * @param settle waits until all work that was begun is done, so that the clock of a stage can be read
     */
    public WorkProgress(ProgressListener listener, StopSignal stop, int layers, Runnable settle) {
        this.listener = listener;
        this.settle = settle;
        this.stop = stop;
        this.layers = layers;
    }

    /** Sets the work of the whole run, in the unit that {@link #add} uses too. */
    public void expect(double work) {
        allWork = work;
    }

    /** Begins a layer of so much work. */
    public void layer(int index, double work) {
        layer = index;
        layerEnd = done + work;
        layerStart = System.nanoTime();
        checkStop();
        listener.layerStarted(index, layers);
    }

    /** Begins the tuning of the whole model, of so much work. */
    public void tuning(double work) {
        layer = layers - 1;
        done = Math.max(done, allWork - work);
        layerEnd = allWork;
        checkStop();
        stage(Stage.TUNE);
    }

    /** Reports that a step of tuning is done; not a place where the run may stop. */
    public void stepFinished(int step, int steps, double divergence, double work) {
        done = Math.min(done + work, layerEnd);
        listener.stepFinished(step, steps, divergence);
        listener.progressed(Math.min(1, done / allWork));
    }

    /** Returns whether the run is asked to stop. */
    public boolean stopRaised() {
        return stop.raised();
    }

    /** Says something a person should know. */
    public void note(String text) {
        listener.note(text);
    }

    /** Ends the clock of the stage before and starts that of {@code next}. */
    public void stage(Stage next) {
        if (next == stage) {
            return;
        }
        endStage();
        stage = next;
        listener.stageStarted(layer, next);
    }

    /** Runs a task as a stage inside the one at hand. */
    public <T> T during(Stage inner, Supplier<T> task) {
        Stage around = stage;
        stage(inner);
        T result = task.get();
        if (around != null) {
            stage(around);
        }
        return result;
    }

    void endStage() {
        settle.run();
        long now = System.nanoTime();
        if (stage != null) {
            nanos.merge(stage, now - since, Long::sum);
        }
        stage = null;
        since = now;
    }

    /** Counts work as done; a place where the run may stop. */
    public void add(double work) {
        done = Math.min(done + work, layerEnd);
        checkStop();
        listener.progressed(Math.min(1, done / allWork));
    }

    /** Counts calibration tokens that went through a layer. */
    public void forwarded(long tokens, double work) {
        forwardTokens += tokens;
        double seconds = (spent(Stage.FORWARD) + spent(Stage.MOMENTS) + System.nanoTime() - since) / 1e9;
        listener.forwarded(forwardTokens / seconds);
        add(work);
    }

    /** Returns the seconds of forward passes so far, second moments left out. */
    public double forwardSeconds() {
        return spent(Stage.FORWARD) / 1e9;
    }

    private long spent(Stage of) {
        return nanos.getOrDefault(of, 0L);
    }

    private void checkStop() {
        if (stop.raised()) {
            throw new StoppedException("stopped in layer " + layer);
        }
    }

    /** Ends a layer that an earlier run had quantized. */
    public void layerPassed() {
        done = layerEnd;
        layerSeconds.add(null);
        add(0);
    }

    public void layerFinished(QuantizationReport.Layer report) {
        done = layerEnd;
        double seconds = (System.nanoTime() - layerStart) / 1e9;
        layerSeconds.add(seconds);
        listener.progressed(Math.min(1, done / allWork));
        listener.layerFinished(layer, report, seconds);
    }

    /** Returns the run's times, with those of the writer's thread beside them. */
    public QuantizationReport.Times times(double packingSeconds, double writingSeconds) {
        endStage();
        Map<Stage, Double> seconds = new EnumMap<>(Stage.class);
        nanos.forEach((key, value) -> seconds.put(key, value / 1e9));
        seconds.put(Stage.PACK, packingSeconds);
        seconds.put(Stage.WRITE, writingSeconds);
        int resumed =
                (int) layerSeconds.stream().filter(java.util.Objects::isNull).count();
        return new QuantizationReport.Times((System.nanoTime() - start) / 1e9, seconds, layerSeconds, resumed);
    }
}
