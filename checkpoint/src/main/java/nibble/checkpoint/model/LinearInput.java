package nibble.checkpoint.model;

import java.util.Arrays;
import java.util.List;

/**
 * Lists the four distinct inputs of the seven linears of a decoder layer; linears that share one share its second
 * moments.
 */
public enum LinearInput {
    /** Output of input_layernorm; input of q_proj, k_proj, v_proj. */
    QKV,
    /** Attention output before o_proj. */
    O,
    /** Output of post_attention_layernorm; input of gate_proj, up_proj. */
    GATE_UP,
    /** silu(gate) * up; input of down_proj. */
    DOWN;

    /** Returns the linears that read it, in canonical order. */
    public List<Linear> readers() {
        return Arrays.stream(Linear.values())
                .filter(linear -> linear.input() == this)
                .toList();
    }
}
