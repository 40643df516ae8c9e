package nibble.engine.backend;

/** Holds codes and zeros of a quantized linear where a device computes; only that device can use them. */
public interface PlacedCodes {
    int outFeatures();

    int inFeatures();

    /** Returns the groups in a row. */
    int groups();
}
