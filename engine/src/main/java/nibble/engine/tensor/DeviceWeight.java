package nibble.engine.tensor;

/**
 * Holds a weight in the memory of a device, in whatever layout its backend reads best; only that backend can use it.
 */
public non-sealed interface DeviceWeight extends Weight {}
