package nibble.engine.tensor;

import nibble.pack.QuantizedLinear;

/**
 * Holds a quantized weight; its value is what {@link QuantizedLinear#dequantize} gives: (code - zero) * scale rounded
 * to fp16.
 */
public record QuantizedWeight(QuantizedLinear linear) implements Weight {
    @Override
    public int outFeatures() {
        return linear.outFeatures();
    }

    @Override
    public int inFeatures() {
        return linear.inFeatures();
    }

    @Override
    public String name() {
        return linear.bits() + "-bit weight [" + outFeatures() + ", " + inFeatures() + "]";
    }
}
