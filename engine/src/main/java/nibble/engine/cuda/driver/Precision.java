package nibble.engine.cuda.driver;

/** Lists what may become of fp32 operands, by {@code cublasComputeType_t}; sums are fp32 always. */
public enum Precision {
    /** Exact products. */
    SINGLE(68),
    /** Products of the first 11 bits, on tensor cores. */
    TENSOR(77);

    private final int code;

    Precision(int code) {
        this.code = code;
    }

    int code() {
        return code;
    }
}
