package nibble.engine.backend;

/**
 * Counts the most memory that a quantization takes of a device.
 *
 * @param device bytes of the device
 * @param pinned bytes of the host, for the calibration stream where the device has no room for it
 * @param expertsOnHost whether routed experts stay on the host, and come to the device for each product
 * @param expertTurns in which moments of gates and ups of experts are made; 0 where there are none
 */
public record CalibrationMemory(long device, long pinned, boolean expertsOnHost, int expertTurns) {}
