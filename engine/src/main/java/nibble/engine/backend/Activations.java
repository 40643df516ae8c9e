package nibble.engine.backend;

/** Lists the forms in which the CPU multiplies activations with weights. */
public enum Activations {
    FP32,
    /** Signed bytes with a scale for each 32; products of a block are exact sums of integers. */
    INT8,
    /**
     * As INT8 for few rows. For many rows as INT8 where the processor has tiles of bytes for the weight, or fast
     * products of bytes with codes of AWQ and GPTQ; otherwise as FP32.
     */
    INT8_WHERE_FASTER;

    /** Returns whether few rows are multiplied as bytes. */
    public boolean bytes() {
        return this != FP32;
    }
}
