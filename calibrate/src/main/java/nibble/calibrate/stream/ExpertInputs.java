package nibble.calibrate.stream;

import java.util.stream.IntStream;
import nibble.checkpoint.model.Expert;
import nibble.checkpoint.model.LinearInput;
import nibble.engine.forward.ExpertPass;
import nibble.engine.forward.Forward;
import nibble.engine.tensor.DecoderLayer;
import nibble.engine.tensor.ExpertMlps;
import nibble.engine.tensor.Matrix;

/**
 * Brings together what goes into each expert's linears in both models: rows of the tokens that the original's router
 * sends to the expert, and of those that fill them up.
 *
 * @param input GATE_UP or DOWN
 * @param tokens chooses the rows that fill up
 */
record ExpertInputs(LinearInput input, ExpertTokens tokens) {
    /**
     * One model's side.
     *
     * @param pass runs its experts
     * @param normed what goes into its router and experts, [rows, hidden]
     * @param factors of the inputs of its experts
     */
    record Side(ExpertPass pass, ExpertMlps experts, Matrix normed, float[] factors) {
        static Side of(Forward forward, DecoderLayer layer, Matrix hidden, int sequences) {
            if (layer.feedForward() instanceof ExpertMlps experts) {
                Matrix normed = forward.input(LinearInput.GATE_UP, layer, hidden, sequences);
                ExpertPass pass = forward.experts();
                return new Side(pass, experts, normed, pass.inputFactors(experts, normed));
            }
            throw new IllegalArgumentException("layer " + layer.extras().layer() + " has no experts");
        }
    }

    /** Takes the rows of an expert's input, the same tokens of both models; they are freed afterwards. */
    interface Use {
        void of(Matrix original, Matrix quantized);
    }

    /** Chooses the rows of an expert, ascending. */
    int[] rows(Expert expert, int[][] routed, int all) {
        if (!expert.isRouted()) {
            return IntStream.range(0, all).toArray();
        }
        int[] rows = routed[expert.index()];
        return IntStream.concat(IntStream.of(rows), IntStream.of(tokens.more(expert, rows, all)))
                .sorted()
                .toArray();
    }

    /** Returns, for each routed expert, the rows that the original's router sends to it. */
    int[][] routed(Side original) {
        return original.pass.routed(original.experts, original.normed);
    }

    /** Gives the inputs of an expert for some rows; nothing for none. */
    void use(Expert expert, int[] rows, Side original, Side quantized, Use use) {
        if (rows.length == 0) {
            return;
        }
        try (Matrix x = original.pass.input(original.factors, expert, original.normed, rows);
                Matrix y = quantized.pass.input(quantized.factors, expert, quantized.normed, rows)) {
            if (input == LinearInput.GATE_UP) {
                use.of(x, y);
                return;
            }
            try (Matrix xd = original.pass.intoDown(original.experts, expert, x);
                    Matrix yd = quantized.pass.intoDown(quantized.experts, expert, y)) {
                use.of(xd, yd);
            }
        }
    }
}
