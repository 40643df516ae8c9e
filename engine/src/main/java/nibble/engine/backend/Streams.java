package nibble.engine.backend;

/** Lists what a calibration can take through the layers. */
public enum Streams {
    /** The activations of the original model, in which the inputs of each layer are searched for scales. */
    ONE,
    /** Also those of the model as quantized so far, to both of which the linears of each layer are fitted. */
    PAIR;

    public int count() {
        return ordinal() + 1;
    }

    /** Returns the matrices of columns by columns in an input's moments: C, and of two streams N of either half. */
    public int moments() {
        return this == ONE ? 1 : 3;
    }
}
