package nibble.engine.tensor;

import java.util.Optional;

/** Gives the logits after one id. On a device they stay there until they are asked for. */
public interface RowLogits {
    /** Returns the greatest of them, where the device tells them by themselves. */
    Optional<Likeliest> likeliest();

    /**
     * Returns the same with at least the first {@code most} of the greatest logits, where whoever asks needs no more.
     *
     * @param most 1 or more
     */
    default Optional<Likeliest> likeliest(int most) {
        return likeliest();
    }

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
