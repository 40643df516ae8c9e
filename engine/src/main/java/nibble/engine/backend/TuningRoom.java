package nibble.engine.backend;

/**
 * What of a tuning a device has room for.
 *
 * @param codes layers whose codes stay where the device computes; those of the others are brought when they are used
 * @param tapes layers whose activations are kept for the backward pass, at least 1; the others run forward again
 * @param device bytes of the device that the tuning takes; 0 where memory is the host's
 * @param pinned bytes of the host that codes take which do not stay on the device
 */
public record TuningRoom(int codes, int tapes, long device, long pinned) {}
