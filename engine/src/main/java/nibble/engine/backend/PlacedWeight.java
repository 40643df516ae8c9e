package nibble.engine.backend;

import nibble.engine.tensor.Weight;

/**
 * Holds a weight where a backend computes. Owns what was taken for it there.
 *
 * @param memory given back when this is closed
 */
public record PlacedWeight(Weight weight, Runnable memory) implements AutoCloseable {
    @Override
    public void close() {
        memory.run();
    }
}
