package nibble.engine.backend;

/** The form in which the CPU multiplies activations with weights. */
public enum Activations {
    FP32,
    /** Signed bytes with a scale for each 32; products of a block are exact sums of integers. */
    INT8
}
