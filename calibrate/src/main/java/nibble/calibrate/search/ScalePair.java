package nibble.calibrate.search;

import java.util.Arrays;
import java.util.List;
import nibble.checkpoint.model.Architecture;
import nibble.checkpoint.model.LayerNorm;
import nibble.checkpoint.model.Linear;
import nibble.checkpoint.model.LinearInput;

/** A producer of channels and the linears that read them: what a scale is divided out of, and multiplied into. */
enum ScalePair {
    ATTENTION_NORM(LinearInput.QKV),
    VALUE_OUTPUT(LinearInput.O),
    MLP_NORM(LinearInput.GATE_UP),
    UP_DOWN(LinearInput.DOWN);

    private final LinearInput input;

    ScalePair(LinearInput input) {
        this.input = input;
    }

    /** What a report calls it; where a model has no such norm, that is said. */
    String label(Architecture architecture) {
        return switch (this) {
            case ATTENTION_NORM -> norm(architecture, LayerNorm.ATTENTION_IN) + " -> q_proj, k_proj, v_proj";
            case VALUE_OUTPUT -> "v_proj -> o_proj";
            case MLP_NORM -> norm(architecture, LayerNorm.MLP_IN) + " -> gate_proj, up_proj";
            case UP_DOWN -> "up_proj -> down_proj";
        };
    }

    private static String norm(Architecture architecture, LayerNorm norm) {
        return architecture.norms().getOrDefault(norm, "no norm");
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
