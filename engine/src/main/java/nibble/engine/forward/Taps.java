package nibble.engine.forward;

import nibble.checkpoint.model.LinearInput;
import nibble.engine.tensor.Matrix;

/** Sees the input of each group of linears while a layer runs. */
@FunctionalInterface
public interface Taps {
    Taps NONE = (input, x) -> {};

    /**
     * Hears that the linears of {@code input} are about to run.
     *
     * @param x activations [tokens, in_features]; valid only during the call
     */
    void tap(LinearInput input, Matrix x);
}
