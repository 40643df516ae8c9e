package nibble.engine.attention;

import java.util.Locale;
import nibble.checkpoint.model.ModelConfig;

/** Says how a cache holds keys and values. */
public enum CacheType {
    /** In the device's precision of activations. */
    AUTO,
    /** As {@link HeadCodes}: 8-bit codes with an fp32 scale for each head of a token. */
    INT8;

    /**
     * Returns the bytes that keys and values of a token take.
     *
     * @param numberBytes of a number in the device's precision
     */
    public long tokenBytes(ModelConfig config, int numberBytes) {
        int head = this == INT8 ? config.headDim() + Float.BYTES : config.headDim() * numberBytes;
        return 2L * config.layers() * config.kvHeads() * head;
    }

    /** Returns its name in options and files. */
    public String label() {
        return name().toLowerCase(Locale.ROOT);
    }
}
