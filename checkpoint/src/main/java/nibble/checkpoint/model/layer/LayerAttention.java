package nibble.checkpoint.model.layer;

import java.util.Optional;

/**
 * Describes how attention of one decoder layer differs from that of another layer of the same model.
 *
 * @param window the last positions that a query sees, its own included; {@link #NO_WINDOW} for all
 * @param rope how queries and keys turn; empty where they do not
 * @param chunk positions of a chunk, from position 0 on: a query sees those of its own chunk; {@link #NO_WINDOW} for
 *     all
 * @param temperature how queries grow with their position; empty where they do not
 */
public record LayerAttention(int window, Optional<Rope> rope, int chunk, Optional<AttentionTemperature> temperature) {
    /** A window that hides nothing. */
    public static final int NO_WINDOW = Integer.MAX_VALUE;

    /** Config.json's word for a layer that sees all positions. */
    public static final String FULL = "full_attention";

    /** Config.json's word for a layer that sees a window. */
    public static final String SLIDING = "sliding_attention";

    /** Config.json's word for a layer that sees its own chunk. */
    public static final String CHUNKED = "chunked_attention";

    /** Describes a layer without chunks, whose queries stay as they are. */
    public LayerAttention(int window, Optional<Rope> rope) {
        this(window, rope, NO_WINDOW, Optional.empty());
    }

    /** Returns whether a query sees its own chunk alone. */
    public boolean hasChunks() {
        return chunk != NO_WINDOW;
    }

    /** Returns whether a query may see fewer positions than stand before it. */
    public boolean hasWindow() {
        return window != NO_WINDOW;
    }
}
