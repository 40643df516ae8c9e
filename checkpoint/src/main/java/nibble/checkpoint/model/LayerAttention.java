package nibble.checkpoint.model;

import java.util.Optional;
import nibble.checkpoint.model.layer.Rope;

/**
 * Describes how attention of one decoder layer differs from that of another layer of the same model.
 *
 * @param window the last positions that a query sees, its own included; {@link ModelConfig#NO_WINDOW} for all
 * @param rope how queries and keys turn; empty where they do not
 */
public record LayerAttention(int window, Optional<Rope> rope) {
    /** Config.json's word for a layer that sees all positions. */
    static final String FULL = "full_attention";

    /** Config.json's word for a layer that sees a window. */
    static final String SLIDING = "sliding_attention";

    /** Returns whether a query may see fewer positions than stand before it. */
    public boolean hasWindow() {
        return window != ModelConfig.NO_WINDOW;
    }
}
