package nibble.calibrate.job;

import com.fasterxml.jackson.annotation.JsonValue;
import java.util.Locale;

/** Hears how a quantization gets on; called from the thread that runs it. */
public interface ProgressListener {
    ProgressListener NONE = new ProgressListener() {};

    /** Lists the stages that a layer goes through, in order. */
    enum Stage {
        /** Weights from the source, hashed for the journal and unpacked. */
        READ,
        /** The calibration text through the original layer. */
        FORWARD,
        MOMENTS,
        SCALE_SEARCH,
        CLIP_SEARCH,
        ROUNDING,
        /** Of the calibration stream, for a later resumption. */
        SAVE_STREAM,
        /** Scales and norms by the divergence of the whole model, after the last layer. */
        TUNE,
        /** For the writer, while a layer waits already. */
        WAIT,
        /** On the writer's own thread, beside the next layer. */
        PACK,
        /** Likewise. */
        WRITE;

        /** Returns the name in reports. */
        @JsonValue
        public String label() {
            return name().toLowerCase(Locale.ROOT);
        }
    }

    /** Tells a person something worth knowing, in words. */
    default void note(String text) {}

    default void layerStarted(int layer, int layers) {}

    default void stageStarted(int layer, Stage stage) {}

    /**
     * Reports calibration tokens that go through a layer in a second, so far.
     *
     * @param tokensPerSecond second moments included
     */
    default void forwarded(double tokensPerSecond) {}

    /**
     * Reports the share of this run's work that is done, by estimated arithmetic.
     *
     * @param fraction 0…1, never falling
     */
    default void progressed(double fraction) {}

    /**
     * Reports that a step of tuning is done.
     *
     * @param divergence of the step's tokens from the original model, before the step
     */
    default void stepFinished(int step, int steps, double divergence) {}

    default void layerFinished(int layer, QuantizationReport.Layer report, double seconds) {}
}
