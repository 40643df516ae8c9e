package nibble.pack;

/** Holds the 4-bit or 8-bit weight of a linear as some checkpoint has it. */
public sealed interface PackedLinear permits QuantizedLinear, ActOrderLinear {
    int outFeatures();

    int inFeatures();

    /** Writes the {@link #inFeatures()} weights of a row, as loaders in fp16 reconstruct them. */
    void dequantize(int row, float[] into, int offset);
}
