package nibble.engine.forward;

import nibble.checkpoint.model.Expert;
import nibble.checkpoint.model.LinearInput;
import nibble.engine.tensor.Matrix;

/** Sees the input of each group of linears while a layer runs. */
@FunctionalInterface
public interface Taps {
    Taps NONE = (input, expert, x) -> {};

    /**
     * Hears that the linears of {@code input} are about to run.
     *
     * @param expert whose linears they are; {@link Expert#NONE} for attention and for the MLP of a layer without
     *     experts
     * @param x activations [tokens, in_features], of the tokens that the router sends to the expert; valid only during
     *     the call
     */
    void tap(LinearInput input, Expert expert, Matrix x);

    /** Hears, after attention, what the halves of kv_b_proj read in a program that multiplies by each alone. */
    default void absorbed(AbsorbedInputs inputs) {}

    /**
     * Returns the tokens that are to pass an expert for these taps alone, beside those that the router sends to it.
     *
     * @param routed the rows of the latter, ascending
     * @param rows of all tokens
     * @return rows that are not among them, ascending
     */
    default int[] more(Expert expert, int[] routed, int rows) {
        return new int[0];
    }
}
