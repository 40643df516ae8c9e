package nibble.engine.tensor;

import nibble.pack.layout.AwqLayout;

/**
 * Holds a 4-bit weight as an AWQ checkpoint stores it, in the mapped files; {@linkplain
 * nibble.engine.backend.Backend#place placing} it brings it into a form to compute with.
 */
public record AwqWeight(AwqLayout.AwqLinear linear) implements Weight {
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
        return linear.module();
    }
}
