package nibble.checkpoint.model.layer;

import java.util.Optional;

/**
 * Describes how attention of one decoder layer differs from that of another layer of the same model.
 *
 * @param window the last positions that a query sees, its own included; {@link #NO_WINDOW} for all
 * @param rope how queries and keys turn; empty where they do not
 */
public record LayerAttention(int window, Optional<Rope> rope) {
    /** A window that hides nothing. */
    public static final int NO_WINDOW = Integer.MAX_VALUE;

    /** Config.json's word for a layer that sees all positions. */
    public static final String FULL = "full_attention";

    /** Config.json's word for a layer that sees a window. */
    public static final String SLIDING = "sliding_attention";

    /** Returns whether a query may see fewer positions than stand before it. */
    public boolean hasWindow() {
        return window != NO_WINDOW;
    }
}
