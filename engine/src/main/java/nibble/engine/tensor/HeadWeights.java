package nibble.engine.tensor;

/** Lists the forms in which the CPU multiplies with a model's head. */
public enum HeadWeights {
    /** As the checkpoint has it. */
    STORED,
    /**
     * A head of plain numbers as GGUF's Q8_0: signed bytes with a scale for each 32. A token then reads 8.5 bits of
     * each of the head's weights instead of 16 or 32. A head that is quantized stays as it is.
     */
    INT8
}
