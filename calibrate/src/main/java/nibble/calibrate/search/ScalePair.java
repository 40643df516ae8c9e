package nibble.calibrate.search;

import java.util.Arrays;
import java.util.List;
import nibble.checkpoint.model.Linear;
import nibble.checkpoint.model.LinearInput;

/** A producer of channels and the linears that read them: what a scale is divided out of, and multiplied into. */
enum ScalePair {
    ATTENTION_NORM("input_layernorm -> q_proj, k_proj, v_proj", LinearInput.QKV),
    VALUE_OUTPUT("v_proj -> o_proj", LinearInput.O),
    MLP_NORM("post_attention_layernorm -> gate_proj, up_proj", LinearInput.GATE_UP),
    UP_DOWN("up_proj -> down_proj", LinearInput.DOWN);

    private final String label;
    private final LinearInput input;

    ScalePair(String label, LinearInput input) {
        this.label = label;
        this.input = input;
    }

    String label() {
        return label;
    }

    LinearInput input() {
        return input;
    }

    /** The linears whose columns are multiplied by the scale. */
    List<Linear> readers() {
        return input.readers();
    }

    /** The pair whose scale multiplies the columns of this linear. */
    static ScalePair reading(Linear linear) {
        return Arrays.stream(values())
                .filter(pair -> pair.input == linear.input())
                .findFirst()
                .orElseThrow();
    }
}
