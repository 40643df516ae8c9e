package nibble.calibrate;

import java.util.List;
import nibble.convert.LlamaLinear;
import nibble.engine.LinearInput;

/** A producer of channels and the linears that read them: what a scale is divided out of, and multiplied into. */
enum ScalePair {
    ATTENTION_NORM(
            "input_layernorm -> q_proj, k_proj, v_proj", LinearInput.QKV, LlamaLinear.Q, LlamaLinear.K, LlamaLinear.V),
    VALUE_OUTPUT("v_proj -> o_proj", LinearInput.O, LlamaLinear.O),
    MLP_NORM("post_attention_layernorm -> gate_proj, up_proj", LinearInput.GATE_UP, LlamaLinear.GATE, LlamaLinear.UP),
    UP_DOWN("up_proj -> down_proj", LinearInput.DOWN, LlamaLinear.DOWN);

    private final String label;
    private final LinearInput input;
    private final List<LlamaLinear> readers;

    ScalePair(String label, LinearInput input, LlamaLinear... readers) {
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
    List<LlamaLinear> readers() {
        return readers;
    }

    /** The pair whose scale multiplies the columns of this linear. */
    static ScalePair reading(LlamaLinear linear) {
        return switch (linear) {
            case Q, K, V -> ATTENTION_NORM;
            case O -> VALUE_OUTPUT;
            case GATE, UP -> MLP_NORM;
            case DOWN -> UP_DOWN;
        };
    }
}
