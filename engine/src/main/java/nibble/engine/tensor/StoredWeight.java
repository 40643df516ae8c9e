package nibble.engine.tensor;

import nibble.pack.layout.StoredCodes;

/**
 * Holds a quantized weight as a GPTQ or compressed-tensors checkpoint stores it, in the mapped files; its value is
 * that of {@link QuantizedWeight}.
 */
public record StoredWeight(StoredCodes codes) implements Weight {
    @Override
    public int outFeatures() {
        return codes.outFeatures();
    }

    @Override
    public int inFeatures() {
        return codes.inFeatures();
    }

    @Override
    public String name() {
        return codes.module();
    }
}
