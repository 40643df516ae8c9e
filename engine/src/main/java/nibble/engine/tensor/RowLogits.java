package nibble.engine.tensor;

import java.util.Optional;

/** Gives the logits after one id. On a device they stay there until they are asked for. */
public interface RowLogits {
    /** Returns the greatest of them, where the device tells them by themselves. */
    Optional<Likeliest> likeliest();

    /** Returns all of them, [vocabulary]; the caller's. */
    float[] all();

    /** Returns logits that are here already. */
    static RowLogits of(float[] all) {
        return new RowLogits() {
            @Override
            public Optional<Likeliest> likeliest() {
                return Optional.empty();
            }

            @Override
            public float[] all() {
                return all;
            }
        };
    }
}
