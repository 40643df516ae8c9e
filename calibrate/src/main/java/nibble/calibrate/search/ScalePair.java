package nibble.calibrate.search;

import java.util.List;
import nibble.checkpoint.model.Linear;
import nibble.checkpoint.model.LinearInput;

/** A producer of channels and the linears that read them: what a scale is divided out of, and multiplied into. */
enum ScalePair {
    ATTENTION_NORM("input_layernorm -> q_proj, k_proj, v_proj", LinearInput.QKV, Linear.Q, Linear.K, Linear.V),
    VALUE_OUTPUT("v_proj -> o_proj", LinearInput.O, Linear.O),
    MLP_NORM("post_attention_layernorm -> gate_proj, up_proj", LinearInput.GATE_UP, Linear.GATE, Linear.UP),
    UP_DOWN("up_proj -> down_proj", LinearInput.DOWN, Linear.DOWN);

    private final String label;
    private final LinearInput input;
    private final List<Linear> readers;

    ScalePair(String label, LinearInput input, Linear... readers) {
        this.label = label;
        this.input = input;
        this.readers = List.of(readers);
    }

    String label() {
        return label;
    }

    LinearInput input() {
        return input;
    }

    /** The linears whose columns are multiplied by the scale. */
    List<Linear> readers() {
        return readers;
    }

    /** The pair whose scale multiplies the columns of this linear. */
    static ScalePair reading(Linear linear) {
        return switch (linear) {
            case Q, K, V -> ATTENTION_NORM;
            case O -> VALUE_OUTPUT;
            case GATE, UP -> MLP_NORM;
            case DOWN -> UP_DOWN;
        };
    }
}
