package nibble.convert.blocks;

import nibble.checkpoint.gguf.GgufType;
import org.jspecify.annotations.Nullable;

/** Rounds rows of weights to blocks, here or on a device; the bytes are the same. Several threads ask at once. */
public interface BlockRounding {
    /** Rounds on the host. */
    BlockRounding HOST = BlockEncoder::encode;

    /** Does what {@link BlockEncoder#encode(GgufType, float[], float[], byte[])} does. */
    void encode(GgufType type, float[] rows, float @Nullable [] importance, byte[] out);
}
