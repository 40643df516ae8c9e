package nibble.engine.tensor;

/**
 * Says which decoder layers a card computes: the last ones of a model. The host computes those before them.
 *
 * @param number at least 0; more than a model has are all
 */
public record DeviceLayers(int number) {
    /** All layers; those that do not fit stream through the card. */
    public static final DeviceLayers ALL = new DeviceLayers(Integer.MAX_VALUE);

    /** As many as stay on the card beside the cache of keys and values. */
    public static final DeviceLayers FITTING = new DeviceLayers(-1);

    /** Returns whether the card's memory decides. */
    public boolean isFitting() {
        return number < 0;
    }
}
