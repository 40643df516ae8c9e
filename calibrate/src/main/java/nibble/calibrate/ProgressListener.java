package nibble.calibrate;

/** Hears how a quantization gets on; called from the thread that runs it. */
public interface ProgressListener {
    ProgressListener NONE = new ProgressListener() {};

    /** What a layer goes through, in order. */
    enum Stage {
        READ,
        FORWARD,
        SCALE_SEARCH,
        CLIP_SEARCH,
        ROUNDING,
        WRITE
    }

    default void layerStarted(int layer, int layers) {}

    default void stageStarted(int layer, Stage stage) {}

    /**
     * The share of all work that is done, by estimated arithmetic.
     *
     * @param fraction 0…1, never falling
     */
    default void progressed(double fraction) {}

    default void layerFinished(int layer, QuantizationReport.Layer report) {}
}
