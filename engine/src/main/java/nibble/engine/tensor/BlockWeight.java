package nibble.engine.tensor;

import nibble.checkpoint.gguf.GgufBlocks;

/** Holds a weight as a GGUF file stores it, in the mapped file; its values are those that ggml decodes. */
public record BlockWeight(String name, GgufBlocks blocks) implements Weight {
    @Override
    public int outFeatures() {
        return blocks.rows();
    }

    @Override
    public int inFeatures() {
        return blocks.columns();
    }
}
