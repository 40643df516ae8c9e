package nibble.engine.backend;

/**
 * Names what a device leaves to the host: a model's first layers and its embedding.
 *
 * @param backend of the host; the device's, which closes it
 * @param layers from the first on, at least 1
 */
public record HostShare(Backend backend, int layers) {}
